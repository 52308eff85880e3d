"""``driftloop dlq``: dead letters."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import click
from google.protobuf.message import Message
from rich.markup import escape
from rich.table import Table

from driftloop.bus.admin import require_broker
from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.contracts.topics import declared
from driftloop.events.event_log import read_topics
from driftloop.loop import Loop, load_loops
from driftloop.ops.cli.output import console
from driftloop.ops.cli.types import examples
from driftloop.ops.dlq import DeadLetter, read_dead_letters
from driftloop.ops.dlq import replay as send_again
from driftloop.ops.dlq.decode import content, messages_of
from driftloop.process.settings import Settings

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_REASON = click.option("--reason", help="Only those refused for this reason.")


@click.group(
    epilog=examples("driftloop dlq list", "driftloop dlq show weather.observed 3", "driftloop dlq replay --help")
)
def dlq() -> None:
    """List, show and replay records that could not be handled."""


@dlq.command(
    "list", epilog=examples("driftloop dlq list", "driftloop dlq list weather.observed --reason missing --json")
)
@click.argument("topic", required=False)
@_REASON
@_JSON
def list_letters(topic: str | None, reason: str | None, as_json: bool) -> None:
    """List dead letters of TOPIC, or of all topics: where each came from, and why it was refused."""
    letters = _letters(Settings(), topic, reason)
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in letters], indent=2))
    elif letters:
        console().print(_table(letters))
    else:
        click.echo("no dead letters")


@dlq.command(epilog=examples("driftloop dlq show weather.observed 3"))
@click.argument("topic")
@click.argument("offset", type=click.IntRange(min=0))
@_JSON
def show(topic: str, offset: int, as_json: bool) -> None:
    """Show the dead letter of TOPIC at OFFSET: why it was refused, its headers and its decoded content."""
    settings = Settings()
    [letter] = _chosen(_letters(settings, topic, None), (offset,), topic)
    found = _as_json(letter) | {
        "stack": letter.stack,
        "headers": {name: value.decode(errors="replace") for name, value in letter.original().headers},
        "content": content(letter, _messages(settings)),
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        if value not in ("", None, {}):
            shown = value if isinstance(value, str) else json.dumps(value, indent=2)
            click.echo(f"{click.style(name, bold=True)}: {shown}")


@dlq.command(
    epilog=examples(
        'driftloop dlq replay weather.observed 3 4 --why "rule fixed"',
        'driftloop dlq replay weather.observed --all --reason out-of-range --why "bounds were too narrow"',
    )
)
@click.argument("topic")
@click.argument("offsets", nargs=-1, type=click.IntRange(min=0))
@click.option("--all", "every", is_flag=True, help="All that were not replayed yet.")
@_REASON
@click.option("--why", required=True, help="Kept with the replay.")
@click.option("--who", default=lambda: f"{getpass.getuser()}@{socket.gethostname()}", help="You, unless set.")
@_JSON
def replay(
    topic: str, offsets: tuple[int, ...], every: bool, reason: str | None, why: str, who: str, as_json: bool
) -> None:
    """Send the original bytes of dead letters of TOPIC again, each once. One that was sent before is passed over."""
    if bool(offsets) == every:
        raise click.UsageError("give offsets, or --all.")
    settings = Settings()
    letters = _letters(settings, topic, reason)
    chosen = (
        [each for each in letters if each.whole and not each.is_done] if every else _chosen(letters, offsets, topic)
    )
    producer = KafkaBatchProducer(settings.kafka_bootstrap)
    try:
        done = send_again(chosen, producer, partial(read_topics, settings.kafka_bootstrap), who=who, why=why)
    finally:
        producer.close()
    if as_json:
        click.echo(json.dumps({"sent": done.sent, "before": done.before}))
    else:
        before = f"; {len(done.before)} had been sent before" if done.before else ""
        click.echo(f"sent {len(done.sent)} to {topic} again{before}")


def _letters(settings: Settings, topic: str | None, reason: str | None) -> list[DeadLetter]:
    known = _topics(load_loops(settings.loops_dir, settings.loops))
    if topic is not None and topic not in known:
        raise click.UsageError(f"no topic {topic!r} has dead letters; one of {', '.join(sorted(known))} may.")
    require_broker(settings.kafka_bootstrap)
    found = read_dead_letters([topic] if topic else sorted(known), partial(read_topics, settings.kafka_bootstrap))
    return [each for each in found if reason is None or each.reason == reason]


def _topics(loops: Sequence[Loop]) -> set[str]:
    lifecycle = {name for name, each in declared().items() if each.dead_letters}
    return lifecycle | {name for loop in loops for name in loop.definition.events}


def _messages(settings: Settings) -> Mapping[str, type[Message]]:
    return messages_of(load_loops(settings.loops_dir, settings.loops))


def _chosen(letters: Sequence[DeadLetter], offsets: Sequence[int], topic: str) -> list[DeadLetter]:
    found = {each.offset: each for each in letters}
    for offset in offsets:
        if offset not in found:
            raise click.UsageError(f"{topic} has no dead letter {offset}; `driftloop dlq list {topic}` lists them.")
    return [found[offset] for offset in sorted(set(offsets))]


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    again = letter.replay
    return {
        "topic": letter.topic,
        "offset": letter.offset,
        "source": letter.source,
        "consumer": letter.consumer,
        "reason": letter.reason,
        "detail": letter.detail,
        "sha256": letter.sha256,
        "whole": letter.whole,
        "replay": None if again is None else {"state": again.state, "who": again.who, "why": again.why},
    }


def _table(letters: Sequence[DeadLetter]) -> Table:
    table = Table(title=f"{len(letters):,} dead letters", title_justify="left")
    for name in ("topic", "offset", "refused by", "reason", "detail", "replay"):
        table.add_column(name, justify="right" if name == "offset" else "left")
    for each in letters:
        again = f"{each.replay.state}, {each.replay.who}: {each.replay.why}" if each.replay else ""
        cells = (each.topic, str(each.offset), each.consumer, each.reason, each.detail, again)
        table.add_row(*map(escape, cells))
    return table

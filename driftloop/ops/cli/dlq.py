"""``driftloop dlq``: dead letters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import click
from google.protobuf.message import Message
from rich.table import Table

from driftloop.bus.admin import require_broker
from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts.topics import declared
from driftloop.events.event_log import read_topics
from driftloop.loop import Loop, load_loops
from driftloop.ops.cli.control import JSON, WHO, WHY
from driftloop.ops.cli.output import Styled, console, echo, echo_json
from driftloop.ops.cli.types import examples
from driftloop.ops.dlq.dead_letter import DeadLetter
from driftloop.ops.dlq.decode import decode_content, message_classes
from driftloop.ops.dlq.read import read_dead_letters
from driftloop.ops.dlq.replay import replay_dead_letters
from driftloop.process.settings import Settings

_REASON = click.option("--reason", help="Only dead letters with this reason.")


@click.group(
    epilog=examples("driftloop dlq list", "driftloop dlq show weather.observed 3", "driftloop dlq replay --help")
)
def dlq() -> None:
    """List, show and replay records that could not be processed."""


@dlq.command(
    "list", epilog=examples("driftloop dlq list", "driftloop dlq list weather.observed --reason missing --json")
)
@click.argument("topic", required=False)
@_REASON
@JSON
def list_dead_letters(topic: str | None, reason: str | None, as_json: bool) -> None:
    """List dead letters of TOPIC, or of all topics, with their source and the reason."""
    letters = _read(Settings(), topic, reason)
    if as_json:
        echo_json([_as_json(letter) for letter in letters], indent=2)
    elif letters:
        console().print(_table(letters))
    else:
        echo("no dead letters")


@dlq.command(epilog=examples("driftloop dlq show weather.observed 3"))
@click.argument("topic")
@click.argument("offset", type=click.IntRange(min=0))
@JSON
def show(topic: str, offset: int, as_json: bool) -> None:
    """Show the dead letter of TOPIC at OFFSET: reason, headers and decoded content."""
    settings = Settings()
    [letter] = _select(_read(settings, topic, None), (offset,), topic)
    fields = _as_json(letter) | {
        "stack": letter.stack,
        "headers": {name: value.decode(errors="replace") for name, value in letter.original().headers},
        "content": decode_content(letter, _messages(settings)),
    }
    if as_json:
        echo_json(fields, indent=2)
        return
    for name, value in fields.items():
        if value not in ("", None, {}):
            shown = value if isinstance(value, str) else json.dumps(value, indent=2)
            echo(Styled(name, bold=True), f": {shown}")


@dlq.command(
    epilog=examples(
        'driftloop dlq replay weather.observed 3 4 --why "rule fixed"',
        'driftloop dlq replay weather.observed --all --reason out-of-range --why "bounds were too narrow"',
    )
)
@click.argument("topic")
@click.argument("offsets", nargs=-1, type=click.IntRange(min=0))
@click.option("--all", "replay_all", is_flag=True, help="All that were not replayed before.")
@_REASON
@WHY
@WHO
@JSON
def replay(
    topic: str, offsets: tuple[int, ...], replay_all: bool, reason: str | None, why: str, who: str, as_json: bool
) -> None:
    """Send the original bytes of dead letters of TOPIC again. A letter that was replayed before is skipped."""
    if bool(offsets) == replay_all:
        raise click.UsageError("give offsets or --all, not both.")
    settings = Settings()
    letters = _read(settings, topic, reason)
    chosen = (
        [letter for letter in letters if letter.is_complete and not letter.is_done]
        if replay_all
        else _select(letters, offsets, topic)
    )
    kafka = KafkaSettings.of(settings)
    producer = KafkaBatchProducer(kafka)
    try:
        result = replay_dead_letters(chosen, producer, partial(read_topics, kafka), who=who, why=why)
    finally:
        producer.close()
    if as_json:
        echo_json({"sent": result.sent, "before": result.already_sent})
    else:
        before = f"; {len(result.already_sent)} had been sent before" if result.already_sent else ""
        echo(f"sent {len(result.sent)} again to {topic}{before}")


def _read(settings: Settings, topic: str | None, reason: str | None) -> list[DeadLetter]:
    known = _topics(load_loops(settings.loops_dir, settings.loops))
    if topic is not None and topic not in known:
        raise click.UsageError(f"{topic!r} is not a topic with dead letters; there are {', '.join(sorted(known))}.")
    kafka = KafkaSettings.of(settings)
    require_broker(kafka)
    letters = read_dead_letters([topic] if topic else sorted(known), partial(read_topics, kafka))
    return [letter for letter in letters if reason is None or letter.reason == reason]


def _topics(loops: Sequence[Loop]) -> set[str]:
    lifecycle = {name for name, spec in declared().items() if spec.dead_letters}
    return lifecycle | {name for loop in loops for name in loop.definition.events}


def _messages(settings: Settings) -> Mapping[str, type[Message]]:
    return message_classes(load_loops(settings.loops_dir, settings.loops))


def _select(letters: Sequence[DeadLetter], offsets: Sequence[int], topic: str) -> list[DeadLetter]:
    by_offset = {letter.offset: letter for letter in letters}
    for offset in offsets:
        if offset not in by_offset:
            raise click.UsageError(f"{topic} has no dead letter {offset}; `driftloop dlq list {topic}` lists them.")
    return [by_offset[offset] for offset in sorted(set(offsets))]


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    replayed = letter.replay
    return {
        "topic": letter.topic,
        "offset": letter.offset,
        "source": letter.source,
        "consumer": letter.consumer,
        "reason": letter.reason,
        "detail": letter.detail,
        "sha256": letter.sha256,
        "whole": letter.is_complete,
        "replay": None if replayed is None else asdict(replayed),
    }


def _table(letters: Sequence[DeadLetter]) -> Table:
    table = Table(title=f"{len(letters):,} dead letters", title_justify="left")
    for name in ("topic", "offset", "consumer", "reason", "detail", "replay"):
        table.add_column(name, justify="right" if name == "offset" else "left")
    for letter in letters:
        replayed = f"{letter.replay.state}, {letter.replay.who}: {letter.replay.why}" if letter.replay else ""
        cells = (letter.topic, str(letter.offset), letter.consumer, letter.reason, letter.detail, replayed)
        table.add_row(*cells)
    return table

"""``driftloop timeline``."""

from __future__ import annotations

import json

import click

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from driftloop.ops.cli.ask import events, minute, told
from driftloop.ops.cli.types import examples
from driftloop.ops.control_client import ControlClient
from driftloop.process.settings import Settings

_COLOURS = {
    "ALARM": "red",
    "PROMOTED": "green",
    "REJECTED": "yellow",
    "ROLLED BACK": "yellow",
    "WAITS": "cyan",
    "RESTATED": "cyan",
    "FAILED": "red",
    " says ": "magenta",
}
"""Word in a line to its colour."""


@click.command(
    epilog=examples(
        "driftloop timeline",
        "driftloop timeline orders -f",
        "driftloop timeline --chain 0d6f61a2-3b1c-5d49-8b8c-6f6c4d6f0b7e --all",
        "driftloop timeline orders -n 5 --json | jq .line",
    )
)
@click.argument("loop", required=False, default="")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("-n", "--newest", default=40, show_default=True, type=click.IntRange(min=0), help="So many; 0 is all.")
@click.option("--chain", default="", help="Only the chain with this correlation id.", metavar="ID")
@click.option("--all", "every", is_flag=True, help="Every event, not only what is news.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, with the event's content.")
def timeline(loop: str, follow: bool, newest: int, chain: str, every: bool, as_json: bool) -> None:
    """Tell what happened, in LOOP or in all loops: event time, what, and the chain that it belongs to."""
    asked = api.StreamTimelineRequest(
        loop=loop, correlation_id=chain, follow=follow, newest=newest, all=every, payload=as_json
    )
    with ControlClient(Settings().control_grpc) as client:
        told(lambda: _print(client, asked, as_json=as_json))


def _print(client: ControlClient, asked: api.StreamTimelineRequest, *, as_json: bool) -> None:
    shown = 0
    for event in events(client, asked):
        click.echo(json.dumps(as_dict(event)) if as_json else line(event, with_loop=not asked.loop))
        shown += 1
    if not shown and not as_json:
        click.echo("nothing happened yet" if not asked.correlation_id else "no event of that chain is news; try --all")


def line(event: api.Event, *, with_loop: bool) -> str:
    """An event in one line."""
    colour = next((colour for word, colour in _COLOURS.items() if word in event.line), None)
    about = f"{event.loop}: " if with_loop else ""
    chain = click.style(event.correlation_id[:8], dim=True)
    return f"{minute(event.time)}  {chain}  {about}{click.style(event.line, fg=colour)}"

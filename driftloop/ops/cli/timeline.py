"""``driftloop timeline``."""

from __future__ import annotations

import click

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from driftloop.ops.cli.control import format_minute, report_errors, stream_events
from driftloop.ops.cli.output import Styled, echo, echo_json
from driftloop.ops.cli.types import examples
from driftloop.ops.control_client import ControlClient
from driftloop.process.settings import Settings

_COLOURS = {
    "alarm": "red",
    "failure": "red",
    "good": "green",
    "ended": "yellow",
    "attention": "cyan",
    "command": "magenta",
}
"""Colour by severity; other events have none."""


@click.command(
    epilog=examples(
        "driftloop timeline",
        "driftloop timeline orders -f",
        "driftloop timeline --chain 0d6f61a2-3b1c-5d49-8b8c-6f6c4d6f0b7e --all",
        "driftloop timeline orders -n 5 --json | jq .line",
    )
)
@click.argument("loop", required=False, default="")
@click.option("-f", "--follow", is_flag=True, help="Show new events until Ctrl-C.")
@click.option(
    "-n",
    "--newest",
    default=40,
    show_default=True,
    type=click.IntRange(min=0),
    help="Number of newest events; 0 shows all.",
)
@click.option("--chain", default="", help="Only the chain with this correlation id.", metavar="ID")
@click.option("--all", "show_all", is_flag=True, help="Also show events that are not notable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, with its content.")
def timeline(loop: str, follow: bool, newest: int, chain: str, show_all: bool, as_json: bool) -> None:
    """Show events of LOOP or of all loops, one line each: event time, chain and text."""
    request = api.StreamTimelineRequest(
        loop=loop, correlation_id=chain, follow=follow, newest=newest, all=show_all, payload=as_json
    )
    with ControlClient(Settings().control_grpc) as client, report_errors():
        _print(client, request, as_json=as_json)


def _print(client: ControlClient, request: api.StreamTimelineRequest, *, as_json: bool) -> None:
    shown = 0
    for event in stream_events(client, request):
        if as_json:
            echo_json(as_dict(event))
        else:
            echo(*line(event, with_loop=not request.loop))
        shown += 1
    if not shown and not as_json:
        echo("the chain has no notable event; try --all" if request.correlation_id else "no events yet")


def line(event: api.Event, *, with_loop: bool) -> tuple[Styled, ...]:
    """Return an event as one line, in the colour of its severity."""
    prefix = f"{event.loop}: " if with_loop else ""
    chain = Styled(event.correlation_id[:8], dim=True)
    text = Styled(event.line, _COLOURS.get(event.severity))
    return Styled(f"{format_minute(event.time)}  "), chain, Styled(f"  {prefix}"), text

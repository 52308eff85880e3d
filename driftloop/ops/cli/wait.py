"""``driftloop wait``."""

from __future__ import annotations

import json
from collections.abc import Callable

import click

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from driftloop.ops.cli.ask import JSON, events, told
from driftloop.ops.cli.types import examples
from driftloop.ops.control_client import ControlClient, TimedOut
from driftloop.process.errors import DriftloopError
from driftloop.process.settings import Settings

Condition = Callable[[api.Loop], str]
"""What a loop still waits for, in words; empty where the condition holds."""


def _rest(state: api.Loop) -> str:
    return "; ".join(state.open)


def _champion(state: api.Loop) -> str:
    if not state.champion:
        return state.next
    return "" if state.converged_epoch >= state.epoch else f"epoch {state.epoch} does not answer yet"


CONDITIONS: dict[str, Condition] = {"rest": _rest, "champion": _champion}


@click.command(epilog=examples("driftloop wait orders", "driftloop wait orders --for champion --json | jq .champion"))
@click.argument("loop")
@click.option(
    "--for", "wanted", type=click.Choice(list(CONDITIONS)), default="rest", show_default=True,
    help="rest: no run, verdict or route is under way. champion: a champion answers.",
)  # fmt: skip
@click.option(
    "--timeout", default=600.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds to wait at most."
)
@JSON
def wait(loop: str, wanted: str, timeout: float, as_json: bool) -> None:
    """Wait until LOOP is at rest, or until it has a champion that answers.

    At rest nothing is trained, judged or changed now. A release may be open: it waits for outcomes, or for a person.
    """
    with ControlClient(Settings().control_grpc) as client:
        found = told(lambda: _wait(client, loop, CONDITIONS[wanted], timeout))
    if as_json:
        click.echo(json.dumps(as_dict(found)))
        return
    stands = f"champion {found.champion}" if found.champion else "no champion yet"
    click.echo(f"{stands}{f', {found.challenger} in {found.stage}' if found.challenger else ''}; {found.next}")


def _wait(client: ControlClient, loop: str, condition: Condition, timeout_s: float) -> api.Loop:
    """Look at the loop, and again after each event of it, until the condition holds.

    Raises:
        NotFound: there is no such loop.
        DriftloopError: it did not hold in time; says what is waited for.
    """
    state = _state(client, loop)
    follow = api.StreamTimelineRequest(loop=loop, all=True, newest=1, follow=True)
    try:
        happened = events(client, follow, timeout_s)  # begins with what was there, so that nothing is missed meanwhile
        while condition(state) and next(happened, None):
            state = _state(client, loop)
    except TimedOut:
        raise DriftloopError(f"{loop} still waits after {timeout_s:g} s: {condition(state)}") from None
    return state


def _state(client: ControlClient, loop: str) -> api.Loop:
    found: api.ListLoopsResponse = client.call("ListLoops", api.ListLoopsRequest(loop=loop))
    return found.loops[0]

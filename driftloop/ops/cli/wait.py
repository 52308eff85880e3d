"""``driftloop wait``."""

from __future__ import annotations

from collections.abc import Callable

import click

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from driftloop.ops.cli.control import JSON, report_errors, stream_events
from driftloop.ops.cli.output import echo, echo_json
from driftloop.ops.cli.types import examples
from driftloop.ops.control_client import ControlClient, TimedOut
from driftloop.process.errors import DriftloopError
from driftloop.process.settings import Settings

Condition = Callable[[api.Loop], str]
"""Returns what the loop still waits for, as text; empty if the condition holds. Raises DriftloopError if it cannot."""


def _rest(state: api.Loop) -> str:
    return "; ".join(state.open)


def _champion(state: api.Loop) -> str:
    if not state.champion and state.breaker_open and not state.open:
        raise DriftloopError(f"{state.name} gets no champion by itself: {state.next}")
    if not state.champion:
        return state.next
    return "" if state.converged_epoch >= state.epoch else f"epoch {state.epoch} does not answer yet"


CONDITIONS: dict[str, Condition] = {"rest": _rest, "champion": _champion}


@click.command(epilog=examples("driftloop wait orders", "driftloop wait orders --for champion --json | jq .champion"))
@click.argument("loop")
@click.option(
    "--for", "wanted", type=click.Choice(list(CONDITIONS)), default="rest", show_default=True,
    help="rest: no run, verdict or route is in progress. champion: a champion answers.",
)  # fmt: skip
@click.option(
    "--timeout", default=600.0, show_default=True, type=click.FloatRange(min=0.1), help="Longest wait, in seconds."
)
@JSON
def wait(loop: str, wanted: str, timeout: float, as_json: bool) -> None:
    """Wait until LOOP is at rest, or until it has a champion that answers.

    At rest, nothing is being trained, judged or changed. A release may be open: it waits for outcomes or for approval.
    """
    with ControlClient(Settings().control_grpc) as client, report_errors():
        state = _wait(client, loop, CONDITIONS[wanted], timeout)
    if as_json:
        echo_json(as_dict(state))
        return
    champion = f"champion {state.champion}" if state.champion else "no champion yet"
    echo(f"{champion}{f', {state.challenger} in {state.stage}' if state.challenger else ''}; {state.next}")


def _wait(client: ControlClient, loop: str, condition: Condition, timeout_s: float) -> api.Loop:
    """Check the loop, and again after each of its events, until the condition holds.

    Raises:
        NotFound: there is no such loop.
        DriftloopError: it did not hold in time; says what the loop waits for.
    """
    state = _read_state(client, loop)
    follow = api.StreamTimelineRequest(loop=loop, all=True, newest=1, follow=True)
    try:
        changes = stream_events(
            client, follow, timeout_s
        )  # starts with known events, so that no event is missed in between
        while condition(state) and next(changes, None):
            state = _read_state(client, loop)
    except TimedOut:
        raise DriftloopError(f"{loop} still waits after {timeout_s:g} s: {condition(state)}") from None
    return state


def _read_state(client: ControlClient, loop: str) -> api.Loop:
    response: api.ListLoopsResponse = client.call("ListLoops", api.ListLoopsRequest(loop=loop))
    return response.loops[0]

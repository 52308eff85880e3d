"""The commands for a loop, from ``retrain`` to ``resume``; and ``rebuild``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from driftloop.ops.cli.control import JSON, REFUSED, WHO, WHY, call_control, report_errors, stream_events
from driftloop.ops.cli.effects import CommandWatch
from driftloop.ops.cli.output import echo, echo_json
from driftloop.ops.cli.timeline import line
from driftloop.ops.cli.types import examples
from driftloop.ops.control_client import ControlClient, TimedOut
from driftloop.process.errors import DriftloopError
from driftloop.process.settings import Settings

_WAIT = click.option("--wait/--no-wait", default=True, help="Wait until it has taken effect.", show_default=True)
_TIMEOUT = click.option(
    "--timeout", default=60.0, show_default=True, type=click.FloatRange(min=0.1), help="Longest wait, in seconds."
)


def add_command_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that all commands have."""
    for option in (JSON, _TIMEOUT, _WAIT, WHO, WHY):
        command = option(command)
    return command


def _loop_command(name: str, description: str, example: str, *, with_release: bool = False) -> click.Command:
    def send(loop: str, who: str, why: str, release: str = "", **options: Any) -> None:
        send_command(name, api.CommandRequest(loop=loop, release_id=release, who=who, why=why), **options)

    callback = add_command_options(send)
    if with_release:
        callback = click.argument("release")(callback)
    callback = click.argument("loop")(callback)
    return click.command(name, help=description, epilog=examples(f"driftloop {name} {example}"))(callback)


retrain = _loop_command("retrain", "Train a candidate for LOOP now.", 'orders --why "new stock is coming"')
approve = _loop_command(
    "approve",
    "Let RELEASE of LOOP, which waits for approval, continue.",
    'orders r-716b7fab4a56 --why "looked at its slices"',
    with_release=True,
)
reject = _loop_command(
    "reject",
    "End RELEASE of LOOP, which is in shadow or canary.",
    'orders r-716b7fab4a56 --why "worse for small shops"',
    with_release=True,
)
rollback = _loop_command(
    "rollback",
    "Undo the newest change of LOOP: end its open release, or else return to the previous champion.",
    'orders --why "complaints from the shops"',
)
pause = _loop_command(
    "pause",
    "Stop automatic training and promotion in LOOP. A release that is worse is still rolled back.",
    'orders --why "stocktaking"',
)
resume = _loop_command(
    "resume",
    "Allow automatic training and promotion in LOOP again, and read its paused topics again.",
    'orders --why "stocktaking is over"',
)


@click.command(epilog=examples("driftloop rebuild"))
@JSON
def rebuild(as_json: bool) -> None:
    """Rebuild the control service's read model from the events. Nothing else changes."""
    response = call_control("Rebuild", api.RebuildRequest(), timeout_s=600.0)
    if as_json:
        echo_json(as_dict(response))
    else:
        echo(f"read {response.events:,} events in {response.duration_s:.1f} s")


def send_command(name: str, request: api.CommandRequest, *, wait: bool, timeout: float, as_json: bool) -> None:
    """Send a command and, with ``wait``, report its effect; wait at most ``timeout`` seconds."""
    loop = request.loop
    with ControlClient(Settings().control_grpc) as client:
        started = time.monotonic()
        with report_errors():
            accepted = client.call(name.capitalize(), request)
        watch = CommandWatch(name, accepted.event_id)
        if wait:
            timeline = api.StreamTimelineRequest(
                loop=loop, follow=True, after=max(1, accepted.position), all=True, payload=True
            )
            _follow(client, timeline, watch, timeout, quiet=as_json)
        seconds = time.monotonic() - started
    if watch.effect.ignored:
        echo(f"driftloop: {watch.effect.text}", err=True)
        raise click.exceptions.Exit(REFUSED)
    if as_json:
        echo_json(as_dict(accepted) | {"effect": watch.effect.text, "seconds": round(seconds, 3)})
    elif wait:
        echo(f"{watch.effect.text} after {seconds:.1f} s")
    else:
        echo(f"{name} is sent as event {accepted.event_id}; `driftloop timeline {loop} -f` follows it")


def _follow(
    client: ControlClient, request: api.StreamTimelineRequest, watch: CommandWatch, timeout_s: float, *, quiet: bool
) -> None:
    """Read the timeline until the command has taken effect.

    Raises:
        DriftloopError: it has not within ``timeout_s``; the command is sent nevertheless.
    """
    try:
        for event in stream_events(client, request, timeout_s):
            if watch.process(event) and not quiet:
                echo(*line(event, with_loop=False))
            if watch.effect.done:
                return
    except TimedOut:
        follow = f"`driftloop timeline {request.loop} -f` shows when it has"
        raise DriftloopError(f"the command was sent but had no effect within {timeout_s:g} s; {follow}") from None

"""What people tell the loops, from ``retrain`` to ``resume``; and ``rebuild``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import click

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from driftloop.ops.cli.ask import JSON, REFUSED, WHO, WHY, ask, events, told
from driftloop.ops.cli.effects import Watch
from driftloop.ops.cli.timeline import line
from driftloop.ops.cli.types import examples
from driftloop.ops.control_client import ControlClient, TimedOut
from driftloop.process.errors import DriftloopError
from driftloop.process.settings import Settings

_WAIT = click.option("--wait/--no-wait", default=True, help="Wait until it has had its effect.", show_default=True)
_TIMEOUT = click.option(
    "--timeout", default=60.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds to wait at most."
)


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that all commands have."""
    for option in (JSON, _TIMEOUT, _WAIT, WHO, WHY):
        command = option(command)
    return command


@click.command(epilog=examples('driftloop retrain orders --why "new stock is coming"'))
@click.argument("loop")
@options
def retrain(loop: str, **how: Any) -> None:
    """Train a candidate for LOOP now."""
    _tell("retrain", loop, "", **how)


@click.command(epilog=examples('driftloop approve orders r-716b7fab4a56 --why "looked at its slices"'))
@click.argument("loop")
@click.argument("release")
@options
def approve(loop: str, release: str, **how: Any) -> None:
    """Let RELEASE of LOOP, which waits for a person, go on."""
    _tell("approve", loop, release, **how)


@click.command(epilog=examples('driftloop reject orders r-716b7fab4a56 --why "worse for small shops"'))
@click.argument("loop")
@click.argument("release")
@options
def reject(loop: str, release: str, **how: Any) -> None:
    """End RELEASE of LOOP, which is in shadow or canary."""
    _tell("reject", loop, release, **how)


@click.command(epilog=examples('driftloop rollback orders --why "complaints from the shops"'))
@click.argument("loop")
@options
def rollback(loop: str, **how: Any) -> None:
    """Take back the newest change of LOOP: its open release, else its champion in favour of the one before."""
    _tell("rollback", loop, "", **how)


@click.command(epilog=examples('driftloop pause orders --why "stocktaking"'))
@click.argument("loop")
@options
def pause(loop: str, **how: Any) -> None:
    """Let nothing be trained or promoted in LOOP by itself. What is worse is still taken back."""
    _tell("pause", loop, "", **how)


@click.command(epilog=examples('driftloop resume orders --why "stocktaking is over"'))
@click.argument("loop")
@options
def resume(loop: str, **how: Any) -> None:
    """Let LOOP act by itself again."""
    _tell("resume", loop, "", **how)


@click.command(epilog=examples("driftloop rebuild"))
@JSON
def rebuild(as_json: bool) -> None:
    """Make the control service's read model again from the events. Nothing else is touched."""
    found = ask("Rebuild", api.RebuildRequest(), timeout_s=600.0)
    if as_json:
        click.echo(json.dumps(as_dict(found)))
    else:
        click.echo(f"read {found.events:,} events in {found.duration_s:.1f} s")


def _tell(name: str, loop: str, release: str, *, who: str, why: str, **how: Any) -> None:
    tell(name, api.CommandRequest(loop=loop, release_id=release, who=who, why=why), **how)


def tell(name: str, request: api.CommandRequest, *, wait: bool, timeout: float, as_json: bool) -> None:
    """Send a command and, with ``wait``, tell what comes of it for ``timeout`` seconds at most."""
    loop = request.loop
    with ControlClient(Settings().control_grpc) as client:
        began = time.monotonic()
        accepted = told(lambda: client.call(name.capitalize(), request))
        watch = Watch(name, accepted.event_id)
        if wait:
            asked = api.StreamTimelineRequest(
                loop=loop, follow=True, after=max(1, accepted.position), all=True, payload=True
            )
            _follow(client, asked, watch, timeout, quiet=as_json)
        seconds = time.monotonic() - began
    if watch.effect.ignored:
        click.echo(f"driftloop: {watch.effect.words}", err=True)
        raise click.exceptions.Exit(REFUSED)
    if as_json:
        click.echo(json.dumps(as_dict(accepted) | {"effect": watch.effect.words, "seconds": round(seconds, 3)}))
    elif wait:
        click.echo(f"{watch.effect.words} after {seconds:.1f} s")
    else:
        click.echo(f"{name} is sent as event {accepted.event_id}; `driftloop timeline {loop} -f` follows it")


def _follow(
    client: ControlClient, asked: api.StreamTimelineRequest, watch: Watch, timeout_s: float, *, quiet: bool
) -> None:
    """Read the timeline until the command has had its effect.

    Raises:
        DriftloopError: it has not in time; it stays sent.
    """
    try:
        for event in events(client, asked, timeout_s):
            if watch.see(event) and not quiet:
                click.echo(line(event, with_loop=False))
            if watch.effect.done:
                return
    except TimedOut:
        follow = f"`driftloop timeline {asked.loop} -f` goes on"
        raise DriftloopError(f"sent, but its effect was not seen within {timeout_s:g} s; {follow}") from None

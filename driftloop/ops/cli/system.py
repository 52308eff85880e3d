"""``driftloop up`` and ``driftloop down``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import click

from driftloop.loop import load_loops
from driftloop.ops.cli.interrupts import Interrupts
from driftloop.ops.cli.output import echo, echo_json
from driftloop.ops.cli.types import examples
from driftloop.ops.new_loops import check_new_loops
from driftloop.ops.system.supervisor import Supervisor
from driftloop.ops.system.up import Progress, Started, start_system
from driftloop.process.settings import Settings
from driftloop.process.startup_errors import read_refused_loops


@click.command(epilog=examples("driftloop up", "driftloop up --json | jq .ready_s.inference"))
@click.option("--json", "as_json", is_flag=True, help="Print seconds to readiness by part as JSON.")
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Check loops that are new or changed, and fit their trainers on generated rows, before the start.",
)
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to wait for all parts.")
def up(as_json: bool, check: bool, timeout: float) -> None:
    """Start the system and wait until every part is ready. Parts that run already are left as they are.

    If a loop was added since the start, the services restart to read it; predictions are answered meanwhile.

    Ctrl-C stops only what this command started.
    """
    settings = Settings()
    say: Callable[[str], None] = (lambda _text: None) if as_json else echo
    check_loops = partial(_check_loops, settings, say, enabled=check)
    interrupts = Interrupts()
    if not settings.cluster_dir:  # else the check waits for the stores: it compares loops with what they hold
        interrupts.allow_interrupt()
        try:
            check_loops()
        finally:
            interrupts.defer_signals()
    started = _start(
        settings,
        interrupts,
        lambda name, seconds: say(f"  {name:<12} ready after {seconds:5.1f} s"),
        timeout,
        check_loops,
    )
    for warning in _warnings(started, settings):
        echo(f"warning: {warning}", err=True)
    if as_json:
        echo_json({"already": started.already, "added": started.added, "ready_s": started.ready_s})
    else:
        echo(_summary(started, settings))


def _check_loops(settings: Settings, say: Callable[[str], None], *, enabled: bool) -> None:
    if not enabled:
        return
    loops = load_loops(settings.loops_dir, settings.loops)
    check_new_loops(settings, loops, lambda name: say(f"  {name} is new: fitting its trainer on generated rows"))


def _warnings(started: Started, settings: Settings) -> list[str]:
    left_out = read_refused_loops(settings.home).items()
    refused = [f"{loop} is left out until it is corrected: {'; '.join(problems)}" for loop, problems in left_out]
    return [*started.differences, *refused]


def _summary(started: Started, settings: Settings) -> str:
    if started.added:
        return f"the system was running; its services were restarted for {', '.join(started.added)}, which is new"
    if started.already:
        return "the system was running already"
    return (
        f"started in {max(started.ready_s.values()):.1f} s; `driftloop status` shows its state, `driftloop down` "
        f"stops it; the page is http://{settings.control_http}/"
    )


def _start(
    settings: Settings, interrupts: Interrupts, progress: Progress, timeout: float, stores_answer: Callable[[], None]
) -> Started:
    supervisor = Supervisor(settings)
    already = supervisor.alive()
    try:
        try:
            return start_system(
                settings, progress, timeout, supervised=interrupts.allow_interrupt, stores_answer=stores_answer
            )
        finally:
            interrupts.defer_signals()
    except KeyboardInterrupt:
        if not already:
            echo("interrupted: stopping the started parts", err=True)
            supervisor.stop()
        raise


@click.command(epilog=examples("driftloop down", "driftloop down --json"))
@click.option("--json", "as_json", is_flag=True, help="Print whether anything was running as JSON.")
def down(as_json: bool) -> None:
    """Stop the system. State stays on disk; `up` continues from it. Ctrl-C does not interrupt it."""
    Interrupts()
    supervisor = Supervisor(Settings())
    supervisor.refuse_other_checkout()
    stopped = supervisor.stop()
    if as_json:
        echo_json({"stopped": stopped})
    else:
        echo("stopped" if stopped else "the system was not running")

"""``driftloop status``."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table

from driftloop.events.envelope import parse_rfc3339
from driftloop.ops.cli.output import Console, Styled, cell, console, echo_json
from driftloop.ops.cli.types import examples
from driftloop.ops.system.status import Status, read_status
from driftloop.process.settings import Settings
from driftloop.readmodel.advice import next_step, notes
from driftloop.readmodel.event_text import day


@click.command(
    epilog=examples("driftloop status", "driftloop status --json | jq '.parts[] | select(.ready | not) | .name'")
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def status(as_json: bool) -> None:
    """Show every part with health, memory and lag, and every loop with champion, stage and last verdict.

    Exit code 0: every part is ready. 1: a part is not ready, or nothing runs.
    """
    system = read_status(Settings())
    if as_json:
        echo_json(asdict(system), indent=2)
    else:
        _show(system, console())
    raise click.exceptions.Exit(0 if system.healthy else 1)


def _show(system: Status, console: Console) -> None:
    if not system.parts:
        console.print(cell("The system does not run. Start it with ", Styled("driftloop up", bold=True), "."))
        return
    console.print(_parts(system))
    if system.loops:
        console.print(_loops(system))
    else:
        console.print("No loop has events yet.")
    for loop, problems in system.refused_loops.items():
        console.print(cell(f"{loop} is left out: {'; '.join(problems)}"))
    for condition in system.conditions:
        console.print(cell(condition.text))


def _parts(system: Status) -> Table:
    table = Table(
        title=f"driftloop {system.version}", title_justify="left", caption=f"{system.pss_mib['total']:.0f} MiB in total"
    )
    for name in ("part", "state", "ready", "pid", "MiB", "lag"):
        table.add_column(name, justify="right" if name in ("pid", "MiB", "lag") else "left")
    for part in system.parts:
        ready = cell(Styled("yes", "green") if part.ready else Styled("no", "red"))
        pid = str(part.pids[0]) if part.pids else "-"
        table.add_row(
            part.name, part.state, ready, pid, f"{part.pss_mib:.0f}", "-" if part.lag is None else str(part.lag)
        )
    return table


def _loops(system: Status) -> Table:
    table = Table(title="loops", title_justify="left")
    for name in ("loop", "event time", "champion", "epoch", "open release", "last verdict", "to do"):
        table.add_column(name, justify="right" if name == "epoch" else "left")
    for loop in system.loops:
        share = f", {loop.share:.0%} of keys" if loop.share else ""
        table.add_row(
            loop.loop,
            day(parse_rfc3339(loop.watermark)) if loop.watermark else "-",
            loop.champion or "-",
            str(loop.epoch),
            f"{loop.release} ({loop.stage}{share})" if loop.release else "-",
            loop.verdict or "-",
            "\n".join([next_step(loop), *loop.open[1:], *notes(loop)]),
        )
    return table

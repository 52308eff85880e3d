"""``driftloop kpis``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import click
from rich.table import Table

from driftloop.ops.cli.event_source import check_name, load_events
from driftloop.ops.cli.output import Console, console, echo, echo_json
from driftloop.ops.cli.types import DAY, examples
from driftloop.ops.kpis import Kpis, Period, measure, together
from driftloop.ops.kpis.format import rows
from driftloop.process.settings import Settings


@click.command(
    epilog=examples(
        "driftloop kpis", "driftloop kpis orders --since 2013-03-01 --until 2013-05-01", "driftloop kpis --json"
    )
)
@click.argument("loop", required=False)
@click.option("--since", type=DAY, help="Only what ended at or after this event time.")
@click.option("--until", type=DAY, help="Only what ended before this event time; later events are ignored.")
@click.option("--json", "as_json", is_flag=True, help="Print loops and all together as one JSON object.")
@click.pass_context
def kpis(
    context: click.Context, loop: str | None, since: datetime | None, until: datetime | None, as_json: bool
) -> None:
    """Show how fast drift was detected, answered and repaired, and how often a change helped: of LOOP, or of all loops.

    Computed from the log of lifecycle events, in event time and in wall time; docs/operations.md defines each number. A
    number without data is "none yet" (null with --json), never zero.
    """
    if since and until and until <= since:
        raise click.UsageError("--until must be later than --since.")
    events = load_events(context, Settings())
    known = sorted({event.loop for event in events})
    chosen = known if loop is None else [check_name(loop, {"loops": known})]
    measured = measure(events, chosen, Period(_ms(since), _ms(until)))
    if as_json:
        period = {"since": since and since.isoformat(), "until": until and until.isoformat()}
        loops = {name: numbers.to_json() for name, numbers in measured.items()}
        echo_json({**period, "loops": loops, "all": together(measured.values()).to_json()}, indent=2)
    elif measured:
        _show(measured, console())
    else:
        echo("no events yet")


def _show(measured: Mapping[str, Kpis], console: Console) -> None:
    for name, numbers in measured.items():
        console.print(_table(name, numbers))
    if len(measured) > 1:
        console.print(_table("all loops", together(measured.values())))


def _table(name: str, numbers: Kpis) -> Table:
    table = Table(title=name, title_justify="left")
    for column in ("", "event time", "wall time", "of"):
        table.add_column(column)
    for row in rows(numbers):
        table.add_row(row.name, row.event_time, row.wall_time or "-", row.of)
    return table


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)

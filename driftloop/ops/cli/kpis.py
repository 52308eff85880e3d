"""``driftloop kpis``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from driftloop.ops.cli.output import console
from driftloop.ops.cli.reading import known_events, one_of
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
@click.option("--since", type=DAY, help="Only what came to its end at or after this event time.")
@click.option("--until", type=DAY, help="Only what came to its end before this event time; nothing later is known.")
@click.option("--json", "as_json", is_flag=True, help="Print loops and all together as one JSON object.")
@click.pass_context
def kpis(
    context: click.Context, loop: str | None, since: datetime | None, until: datetime | None, as_json: bool
) -> None:
    """Show how fast drift was detected, answered and repaired, and how often a change helped: of LOOP, or of all.

    Read from the log of lifecycle events, in event time and in wall time; docs/operations.md says how each number is
    made. What has not happened yet is "none yet" (null with --json), never zero.
    """
    if since and until and until <= since:
        raise click.UsageError("--until must be later than --since.")
    events = known_events(context, Settings())
    there = sorted({event.loop for event in events})
    chosen = there if loop is None else [one_of(loop, {"loops": there})]
    found = measure(events, chosen, Period(_ms(since), _ms(until)))
    if as_json:
        whole = {"since": since and since.isoformat(), "until": until and until.isoformat()}
        loops = {name: each.to_json() for name, each in found.items()}
        click.echo(json.dumps({**whole, "loops": loops, "all": together(found.values()).to_json()}, indent=2))
    elif found:
        _show(found, console())
    else:
        click.echo("no events yet")


def _show(found: Mapping[str, Kpis], console: Console) -> None:
    for name, each in found.items():
        console.print(_table(name, each))
    if len(found) > 1:
        console.print(_table("all loops", together(found.values())))


def _table(name: str, found: Kpis) -> Table:
    table = Table(title=escape(name), title_justify="left")
    for column in ("", "event time", "wall time", "of"):
        table.add_column(column)
    for row in rows(found):
        table.add_row(row.name, row.event_time, row.wall_time or "-", row.of)
    return table


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)

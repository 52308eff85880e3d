"""``driftloop doctor``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from driftloop.ops.cli.output import console
from driftloop.ops.cli.types import examples
from driftloop.ops.doctor import Finding, examine, worst
from driftloop.process.settings import Settings

_MARKS = {"ok": "[green]ok[/green]", "warning": "[yellow]warning[/yellow]", "wrong": "[red]wrong[/red]"}


@click.command(epilog=examples("driftloop doctor", "driftloop doctor --json"))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
def doctor(as_json: bool) -> None:
    """Look for what would keep the system from running well here, and say what to do about it.

    Looks at set-up, Java, disk, memory, ports and loops; at a running system also at its parts and dead letters. Exit
    code 0: nothing is wrong. 1: something is.
    """
    with Console(stderr=True).status("looking"):
        found = list(examine(Settings()))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    else:
        console().print(_table(found))
    raise click.exceptions.Exit(worst(found))


def _table(found: list[Finding]) -> Table:
    table = Table(show_header=False, box=None)
    for each in found:
        what, do = escape(each.what), f"\n[bold]{escape(each.do)}[/bold]" if each.do else ""
        table.add_row(_MARKS[each.state], each.name, what + do)
    return table

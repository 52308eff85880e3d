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
from driftloop.ops.doctor import Finding, exit_code, find_problems
from driftloop.process.settings import Settings

_MARKS = {"ok": "[green]ok[/green]", "warning": "[yellow]warning[/yellow]", "wrong": "[red]wrong[/red]"}


@click.command(epilog=examples("driftloop doctor", "driftloop doctor --json"))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
def doctor(as_json: bool) -> None:
    """Look for problems of this machine and say how to fix them.

    Checks set-up, Java, disk, memory, ports and loops; if the system runs, also its parts and dead letters. Exit code
    0: nothing is wrong. 1: something is wrong.
    """
    with Console(stderr=True).status("checking"):
        findings = list(find_problems(Settings()))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        console().print(_table(findings))
    raise click.exceptions.Exit(exit_code(findings))


def _table(findings: list[Finding]) -> Table:
    table = Table(show_header=False, box=None)
    for finding in findings:
        what, do = escape(finding.what), f"\n[bold]{escape(finding.do)}[/bold]" if finding.do else ""
        table.add_row(_MARKS[finding.state], finding.name, what + do)
    return table

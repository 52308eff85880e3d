"""``driftloop doctor``."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table

from driftloop.ops.cli.output import Styled, cell, console, echo_json, working
from driftloop.ops.cli.types import examples
from driftloop.ops.doctor import Finding, exit_code, find_problems
from driftloop.process.settings import Settings

_COLOURS = {"ok": "green", "warning": "yellow", "wrong": "red"}


@click.command(epilog=examples("driftloop doctor", "driftloop doctor --json"))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
def doctor(as_json: bool) -> None:
    """Look for problems of this machine and say how to fix them.

    Checks set-up, Java, disk, memory, ports and loops; if the system runs, also its parts and dead letters. Exit code
    0: nothing is wrong. 1: something is wrong.
    """
    with working("checking"):
        findings = list(find_problems(Settings()))
    if as_json:
        echo_json([asdict(finding) for finding in findings], indent=2)
    else:
        console().print(_table(findings))
    raise click.exceptions.Exit(exit_code(findings))


def _table(findings: list[Finding]) -> Table:
    table = Table(show_header=False, box=None)
    for finding in findings:
        do = [Styled(f"\n{finding.do}", bold=True)] if finding.do else []
        mark = Styled(finding.state, _COLOURS[finding.state])
        table.add_row(cell(mark), finding.name, cell(finding.what, *do))
    return table

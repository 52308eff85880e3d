"""``driftloop check``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from driftloop.loop.findings import Findings
from driftloop.ops.cli.output import console
from driftloop.ops.cli.types import examples
from driftloop.ops.loop_check import inspect
from driftloop.process.settings import ROOT, Settings


@click.command(epilog=examples("driftloop check", "driftloop check parcels --json"))
@click.argument("loops", nargs=-1, metavar="[LOOP]...")
@click.option("--json", "as_json", is_flag=True, help="Print problems and effects by loop as one JSON object.")
def check(loops: tuple[str, ...], as_json: bool) -> None:
    """Say what is wrong with a loop, with file and line, or what running it will bring about.

    Looks at all loops where none is named. Nothing needs to run, and nothing is changed. Exit code 0: all is right.
    1: something is wrong.
    """
    with Console(stderr=True).status("asking ingestion, features and training"):
        found = inspect(Settings(), loops)
    if as_json:
        click.echo(json.dumps({name: asdict(each) for name, each in found.items()}, indent=2))
    else:
        _show(found, console())
    raise click.exceptions.Exit(int(any(each.problems for each in found.values())))


def _show(found: Mapping[str, Findings], console: Console) -> None:
    for name, each in found.items():
        for problem in each.problems:
            console.print(problem.removeprefix(f"{ROOT}/"), style="red", highlight=False, soft_wrap=True, markup=False)
        if not each.problems:
            console.print(_effects(name, each))
    wrong = [name for name, each in found.items() if each.problems]
    if wrong:
        count = sum(len(each.problems) for each in found.values())
        console.print(f"{count} problem{'s' * (count > 1)} in {', '.join(wrong)}", markup=False)


def _effects(name: str, findings: Findings) -> Table:
    table = Table(title=f"{name} is right; once it runs", title_justify="left", show_header=False)
    for kind, some in groupby(findings.effects, lambda each: each.kind):
        for number, effect in enumerate(some):
            table.add_row("" if number else kind, escape(effect.name), escape(effect.what))
        table.add_section()
    return table

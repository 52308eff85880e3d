"""``driftloop check``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

import click
from rich.table import Table

from driftloop.loop import load_loop
from driftloop.loop.findings import Findings
from driftloop.ops.cli.output import Console, console, echo_json, working
from driftloop.ops.cli.types import examples
from driftloop.ops.fit_check import try_loop
from driftloop.ops.loop_check import check_loops
from driftloop.process.settings import ROOT, Settings


@click.command(epilog=examples("driftloop check", "driftloop check parcels --fit", "driftloop check parcels --json"))
@click.argument("loops", nargs=-1, metavar="[LOOP]...")
@click.option("--fit", is_flag=True, help="Also fit the trainer on generated rows and read some days of the past.")
@click.option("--json", "as_json", is_flag=True, help="Print problems, warnings and effects by loop as JSON.")
def check(loops: tuple[str, ...], fit: bool, as_json: bool) -> None:
    """Report the problems of a loop with file and line, or the effects of running it.

    Checks all loops if none is named. Nothing needs to run, and nothing is changed. Warnings compare the
    definition with the events that are in the lake. --fit runs the loop's own code, with its limits of time and memory:
    it finds what the files do not show, such as a parameter that the trainer reads and loop.yaml lacks. Exit code 0: no
    problems. 1: problems.
    """
    settings = Settings()
    with working("checking with ingestion, features, training and monitoring"):
        findings = check_loops(settings, loops)
    if fit:
        for name in [name for name, loop_findings in findings.items() if not loop_findings.problems]:
            with working(f"fitting {name} on generated rows"):
                problems = try_loop(settings, load_loop(settings.loops_dir / name), findings[name].features)
            findings[name] = replace(findings[name], problems=tuple(problems))
    if as_json:
        echo_json({name: _shown(loop_findings) for name, loop_findings in findings.items()}, indent=2)
    else:
        _show(findings, console())
    raise click.exceptions.Exit(int(any(loop_findings.problems for loop_findings in findings.values())))


def _shown(findings: Findings) -> dict[str, Any]:
    effects = [asdict(effect) for effect in findings.effects]
    return {"problems": findings.problems, "warnings": findings.warnings, "effects": effects}


def _show(findings: Mapping[str, Findings], console: Console) -> None:
    for name, loop_findings in findings.items():
        for problem in loop_findings.problems:
            console.print(problem.removeprefix(f"{ROOT}/"), style="red", highlight=False, soft_wrap=True)
        for warning in loop_findings.warnings:
            text = f"{warning.removeprefix(f'{ROOT}/')} (warning)"
            console.print(text, style="yellow", highlight=False, soft_wrap=True)
        if not loop_findings.problems:
            console.print(_effects(name, loop_findings))
    wrong = [name for name, loop_findings in findings.items() if loop_findings.problems]
    if wrong:
        count = sum(len(loop_findings.problems) for loop_findings in findings.values())
        console.print(f"{count} problem{'s' * (count > 1)} in {', '.join(wrong)}")


def _effects(name: str, findings: Findings) -> Table:
    table = Table(title=f"{name}: no problems; when it runs", title_justify="left", show_header=False)
    for kind, effects in groupby(findings.effects, lambda effect: effect.kind):
        for number, effect in enumerate(effects):
            table.add_row("" if number else kind, effect.name, effect.what)
        table.add_section()
    return table

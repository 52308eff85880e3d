"""``driftloop init``."""

from __future__ import annotations

import json
from typing import cast

import click

from driftloop.loop.scaffold import KINDS, scaffold
from driftloop.model.losses import LabelKind
from driftloop.ops.cli.types import examples
from driftloop.process.settings import ROOT, Settings


@click.command(epilog=examples("driftloop init parcels", "driftloop init arrivals --kind count --clock request"))
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="binary", show_default=True, help="Kind of the label.")
@click.option(
    "--clock", type=click.Choice(["now", "request"]), default="now", show_default=True,
    help="Whether a request stands for the moment it comes in, or states its decision time, as replays do.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the files as a JSON list.")
def init(name: str, kind: str, clock: str, as_json: bool) -> None:
    """Make a new loop: loop.yaml, events, model, Feast definitions and a test, all of which run as they are."""
    settings = Settings()
    made = scaffold(name, cast(LabelKind, kind), clock, settings.loops_dir, settings.feature_repo)
    shown = [str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path) for path in made]
    if as_json:
        click.echo(json.dumps(shown))
        return
    for path in shown:
        click.echo(f"  {path}")
    click.echo(f"made the loop {name}; `driftloop check {name}` says what it will bring about")

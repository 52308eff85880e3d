"""``driftloop init``."""

from __future__ import annotations

from typing import cast

import click

from driftloop.loop.scaffold import KINDS, scaffold
from driftloop.model.labels import LabelKind
from driftloop.ops.cli.output import echo, echo_json
from driftloop.ops.cli.types import examples
from driftloop.process.settings import ROOT, Settings


@click.command(epilog=examples("driftloop init parcels", "driftloop init arrivals --kind count --clock request"))
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="binary", show_default=True, help="Kind of the label.")
@click.option(
    "--clock", type=click.Choice(["now", "request"]), default="now", show_default=True,
    help="Decision time of a request: its arrival, or a time in the request, as in replays.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the files as a JSON list.")
def init(name: str, kind: str, clock: str, as_json: bool) -> None:
    """Create a loop that runs as it is: loop.yaml, events, model, Feast definitions and a test."""
    settings = Settings()
    paths = scaffold(name, cast(LabelKind, kind), clock, settings.loops_dir, settings.feature_repo)
    files = [str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path) for path in paths]
    if as_json:
        echo_json(files)
        return
    for path in files:
        echo(f"  {path}")
    echo(f"created loop {name}; `driftloop check {name}` shows its effects")

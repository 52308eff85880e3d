"""``driftloop report``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from driftloop.events.envelope import Envelope
from driftloop.loop import LoopDefinition, load_loop
from driftloop.model.path_relocation import path_resolver
from driftloop.ops.cli.event_source import check_name, load_events
from driftloop.ops.cli.output import echo, echo_json, working
from driftloop.ops.cli.types import examples
from driftloop.process.settings import ROOT, Settings
from driftloop.readmodel.loop_history import LoopHistory, histories


@click.command(
    epilog=examples(
        "driftloop report orders", "driftloop report r-1cc9b9930983 -o card.html", "driftloop report orders --json"
    )
)
@click.argument("name", metavar="LOOP|RELEASE")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="File of the page; default: out/reports/NAME.html.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON; write a page only with -o.")
@click.pass_context
def report(context: click.Context, name: str, output: Path | None, as_json: bool) -> None:
    """Write the history of a LOOP, or the model card of a RELEASE, as one HTML file that needs no network.

    A loop's page shows what changed, since when, what the system did and whether it helped, with plots, the chain of
    causes, the numbers of `driftloop kpis` and all releases. A card shows what a release is, its training data, its
    verdicts and its results. Both are made from the log of lifecycle events.
    """
    settings = Settings()
    events = load_events(context, settings)
    with working(f"making the report of {name}"):
        numbers, html = _build(settings, name, events, with_page=output is not None or not as_json)
    if html:
        path = output or ROOT / "out" / "reports" / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
        echo(f"wrote {path}", err=as_json)
    if as_json:
        echo_json(numbers, indent=2)


def _build(
    settings: Settings, name: str, events: list[Envelope[Any]], *, with_page: bool
) -> tuple[dict[str, Any], str]:
    """Return the numbers, and the page if wanted."""
    loops = {history.loop: history for history in histories(events)}
    by_release = {release: history for history in loops.values() for release in history.releases}
    check_name(name, {"loops": list(loops), "releases": list(by_release)})
    if name in by_release:
        return _card(settings, by_release[name], name, with_page=with_page)
    return _loop(settings, loops[name], with_page=with_page)


def _loop(settings: Settings, history: LoopHistory, *, with_page: bool) -> tuple[dict[str, Any], str]:
    from driftloop.ops.report.loop_page import loop_page
    from driftloop.ops.report.overview import overview

    definition = _definition(settings, history.loop)
    numbers = overview(history, definition)
    return numbers, loop_page(numbers, history, definition) if with_page else ""


def _card(settings: Settings, history: LoopHistory, release: str, *, with_page: bool) -> tuple[dict[str, Any], str]:
    from driftloop.ops.report.bundles import read_bundle
    from driftloop.ops.report.card import card
    from driftloop.ops.report.release_page import release_page

    read = partial(read_bundle, resolve_path=path_resolver(settings.home, settings.store_url))
    numbers = card(history, release, _definition(settings, history.loop), read)
    return numbers, release_page(numbers, history) if with_page else ""


def _definition(settings: Settings, loop: str) -> LoopDefinition | None:
    """Return the loop's current definition; None if it is not defined here.

    Raises:
        LoopDefinitionError: its file is wrong.
    """
    folder = settings.loops_dir / loop
    return load_loop(folder).definition if (folder / "loop.yaml").exists() else None

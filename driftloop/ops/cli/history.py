"""``driftloop history`` and ``driftloop lineage``."""

from __future__ import annotations

from datetime import datetime

import click
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from driftloop.contracts import control_api_pb2 as api
from driftloop.ops.cli.control import JSON, call_control, format_minute, print_json, to_timestamp
from driftloop.ops.cli.output import Styled, cell, console, echo
from driftloop.ops.cli.types import DAY, examples


@click.command(
    epilog=examples("driftloop history", "driftloop history orders --at 2026-03-27T06:00", "driftloop history --json")
)
@click.argument("loop", required=False, default="")
@click.option("--at", type=DAY, help="Only releases that were live at this event time.")
@JSON
def history(loop: str, at: datetime | None, as_json: bool) -> None:
    """Show which releases were live when, and why: in LOOP, or in all loops."""
    response = call_control("ListHistory", api.ListHistoryRequest(loop=loop, at=to_timestamp(at)))
    if as_json:
        print_json(response, "serving_periods")
    elif not response.serving_periods:
        echo("nothing was live" + (" then" if at else " yet"))
    else:
        console().print(_serving_periods(response.serving_periods))


def _serving_periods(periods: list[api.ServingPeriod]) -> Table:
    table = Table(title="live releases, in event time", title_justify="left")
    for name in ("loop", "epoch", "since", "until", "champion", "challenger", "why", "who"):
        table.add_column(
            name, justify="right" if name == "epoch" else "left", no_wrap=name in ("since", "until", "champion", "who")
        )
    for period in periods:
        until = format_minute(period.until) if period.HasField("until") else "now"
        share = f"{period.share:.0%} of keys" if period.share else "no keys"
        challenger = f"{period.challenger} in {period.stage}, {share}" if period.challenger else "-"
        note = "" if period.HasField("converged") or not period.champion else " (never answered)"
        cells = (
            period.loop,
            str(period.epoch),
            format_minute(period.since),
            until,
            (period.champion or "none") + note,
            challenger,
            period.because,
            period.who,
        )
        table.add_row(*cells)
    return table


@click.command(
    epilog=examples(
        "driftloop lineage orders", "driftloop lineage r-716b7fab4a56", "driftloop lineage <prediction id> --json"
    )
)
@click.argument("name", metavar="LOOP|ID")
@JSON
def lineage(name: str, as_json: bool) -> None:
    """Show everything that led to the champion of LOOP, or to the prediction, release, run or event ID."""
    response = call_control("GetLineage", api.GetLineageRequest(id=name))
    if as_json:
        print_json(response)
    else:
        console().print(_tree(response))


def _tree(lineage: api.Lineage) -> Tree:
    """Return the requested node as root, with its causes below it; a node's own causes are shown once."""
    nodes = {node.id: node for node in lineage.nodes}
    shown: set[str] = set()

    def grow(parent: Tree, name: str) -> None:
        branch = parent.add(_label(nodes[name], again=name in shown))
        if name not in shown:
            shown.add(name)
            for cause in nodes[name].causes:
                grow(branch, cause)

    top = lineage.nodes[0]
    tree = Tree(_label(top, again=False))
    shown.add(top.id)
    for cause in top.causes:
        grow(tree, cause)
    return tree


def _label(node: api.LineageNode, *, again: bool) -> Text:
    at = f"{format_minute(node.time)}  " if node.HasField("time") else ""
    seen: list[str | Styled] = [" ", Styled("(above)", dim=True)] if again else []
    return cell(Styled(node.kind, bold=True), f" {at}{node.line} ", Styled(node.id, dim=True), *seen)

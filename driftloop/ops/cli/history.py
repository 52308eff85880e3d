"""``driftloop history`` and ``driftloop lineage``."""

from __future__ import annotations

from datetime import datetime

import click
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from driftloop.contracts import control_api_pb2 as api
from driftloop.ops.cli.ask import JSON, ask, minute, print_json, to_timestamp
from driftloop.ops.cli.output import console
from driftloop.ops.cli.types import DAY, examples


@click.command(
    epilog=examples("driftloop history", "driftloop history orders --at 2026-03-27T06:00", "driftloop history --json")
)
@click.argument("loop", required=False, default="")
@click.option("--at", type=DAY, help="Only what was live then, in event time.")
@JSON
def history(loop: str, at: datetime | None, as_json: bool) -> None:
    """Tell what was live when, for whom and why: in LOOP, or in all loops."""
    found = ask("ListHistory", api.ListHistoryRequest(loop=loop, at=to_timestamp(at)))
    if as_json:
        print_json(found, "serving_periods")
    elif not found.serving_periods:
        click.echo("nothing was live" + (" then" if at else " yet"))
    else:
        console().print(_tenures(found.serving_periods))


def _tenures(found: list[api.ServingPeriod]) -> Table:
    table = Table(title="who answered, in event time", title_justify="left")
    for name in ("loop", "epoch", "since", "until", "champion", "challenger", "why", "who"):
        table.add_column(
            name, justify="right" if name == "epoch" else "left", no_wrap=name in ("since", "until", "champion", "who")
        )
    for each in found:
        until = minute(each.until) if each.HasField("until") else "now"
        share = f"{each.share:.0%} of keys" if each.share else "answers nobody"
        challenger = f"{each.challenger} in {each.stage}, {share}" if each.challenger else "-"
        unseen = "" if each.HasField("converged") or not each.champion else " (never seen to answer)"
        cells = (
            each.loop,
            str(each.epoch),
            minute(each.since),
            until,
            (each.champion or "nobody") + unseen,
            challenger,
            each.because,
            each.who,
        )
        table.add_row(*map(escape, cells))
    return table


@click.command(
    epilog=examples(
        "driftloop lineage orders", "driftloop lineage r-716b7fab4a56", "driftloop lineage <prediction id> --json"
    )
)
@click.argument("name", metavar="LOOP|ID")
@JSON
def lineage(name: str, as_json: bool) -> None:
    """Tell all that led to the champion of LOOP, or to the prediction, release, run or event ID."""
    found = ask("GetLineage", api.GetLineageRequest(id=name))
    if as_json:
        print_json(found)
    else:
        console().print(_tree(found))


def _tree(found: api.Lineage) -> Tree:
    """What was asked for at the top; below each its causes, once."""
    nodes = {node.id: node for node in found.nodes}
    shown: set[str] = set()

    def grow(at: Tree, name: str) -> None:
        branch = at.add(_label(nodes[name], again=name in shown))
        if name not in shown:
            shown.add(name)
            for cause in nodes[name].causes:
                grow(branch, cause)

    top = found.nodes[0]
    tree = Tree(_label(top, again=False))
    shown.add(top.id)
    for cause in top.causes:
        grow(tree, cause)
    return tree


def _label(node: api.LineageNode, *, again: bool) -> str:
    at = f"{minute(node.time)}  " if node.HasField("time") else ""
    seen = " [dim](above)[/dim]" if again else ""
    return f"[bold]{node.kind}[/bold] {at}{escape(node.line)} [dim]{escape(node.id)}[/dim]{seen}"

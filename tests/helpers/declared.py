"""The metrics that the services declare, by the names under which Prometheus shows them."""

from __future__ import annotations

import importlib
import re

from driftloop.process.settings import ROOT
from driftloop.process.telemetry import Counter, Histogram, Metric

PROMTOOL = ROOT / ".local" / "prometheus" / "usr" / "bin" / "promtool"
MADE_BY_PROMETHEUS = {"job", "instance", "service", "le"}
"""Labels that a scrape adds."""
_SELECTOR = re.compile(r"(driftloop_\w+)(?:\{([^}]*)\})?")
_MATCHED = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_NAMED = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right) \(([^)]*)\)")


def metrics() -> dict[str, Metric]:
    """Every declared metric; one name for each series that it has."""
    found: dict[str, Metric] = {}
    for path in [*ROOT.glob("services/**/metrics.py"), *ROOT.glob("driftloop/**/metrics.py")]:
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for each in vars(module).values():
            if isinstance(each, Metric):
                found |= dict.fromkeys(_shown(each), each)
    return found


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """Metrics of ours in a query, each with the labels that it is chosen by."""
    return [(name, set(_MATCHED.findall(matchers))) for name, matchers in _SELECTOR.findall(expression)]


def grouped(expression: str) -> set[str]:
    """Labels by which a query groups or joins."""
    return {label.strip() for group in _NAMED.findall(expression) for label in group.split(",")}


def _shown(metric: Metric) -> list[str]:
    if isinstance(metric, Counter):
        return [f"{metric.name}_total"]
    if isinstance(metric, Histogram):
        return [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
    return [metric.name]

"""The metrics that the services declare, by their names in Prometheus."""

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
    """Return the declared metrics by the name of each of their series."""
    by_series: dict[str, Metric] = {}
    for path in [*ROOT.glob("services/**/metrics.py"), *ROOT.glob("driftloop/**/metrics.py")]:
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for value in vars(module).values():
            if isinstance(value, Metric):
                by_series |= dict.fromkeys(_series(value), value)
    return by_series


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """Return driftloop's metrics in a query, each with the labels that select its series."""
    return [(name, set(_MATCHED.findall(matchers))) for name, matchers in _SELECTOR.findall(expression)]


def grouped(expression: str) -> set[str]:
    """Return the labels by which a query groups or joins."""
    return {label.strip() for group in _NAMED.findall(expression) for label in group.split(",")}


def _series(metric: Metric) -> list[str]:
    if isinstance(metric, Counter):
        return [f"{metric.name}_total"]
    if isinstance(metric, Histogram):
        return [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
    return [metric.name]

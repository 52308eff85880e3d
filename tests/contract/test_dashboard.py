from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from driftloop.config import ROOT
from driftloop.telemetry import Counter, Histogram, Metric
from tests.helpers.dashboards import DASHBOARDS, GRAFANA, dashboard, expressions

PROMTOOL = ROOT / ".local" / "prometheus" / "usr" / "bin" / "promtool"
SELECTOR = re.compile(r"(driftloop_\w+)(?:\{([^}]*)\})?")
MADE_BY_PROMETHEUS = {"job", "instance", "service", "le"}


def metrics() -> dict[str, Metric]:
    """Every declared metric by the names under which Prometheus shows it."""
    found: dict[str, Metric] = {}
    for path in [*ROOT.glob("services/*/metrics.py"), *ROOT.glob("driftloop/**/metrics.py")]:
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for each in vars(module).values():
            if isinstance(each, Metric):
                found |= dict.fromkeys(shown(each), each)
    return found


def shown(metric: Metric) -> list[str]:
    if isinstance(metric, Counter):
        return [f"{metric.name}_total"]
    if isinstance(metric, Histogram):
        return [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
    return [metric.name]


def test_there_is_a_dashboard() -> None:
    assert DASHBOARDS
    assert len(expressions()) > 10


@pytest.mark.parametrize("expression", expressions())
def test_a_query_uses_declared_metrics_and_labels_only(expression: str) -> None:
    declared = metrics()
    selectors = SELECTOR.findall(expression)
    assert selectors
    for name, matchers in selectors:
        assert name in declared, f"no metrics.py declares {name}"
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        labels |= {each.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for each in group.split(",")}
        assert labels <= {*declared[name].labels, *MADE_BY_PROMETHEUS}


def test_legends_name_labels_that_their_query_keeps() -> None:
    for path in DASHBOARDS:
        for panel in dashboard(path)["panels"]:
            for target in panel["targets"]:
                kept = {
                    each.strip() for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for each in group.split(",")
                }
                assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept, panel["title"]


def test_every_panel_reads_the_provisioned_source() -> None:
    (source,) = yaml.safe_load((GRAFANA / "datasources" / "prometheus.yml").read_text())["datasources"]
    for path in DASHBOARDS:
        board = dashboard(path)
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        for panel in board["panels"]:
            assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}


def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    if not PROMTOOL.exists():
        pytest.skip("Prometheus is not installed")
    rules = [
        {"record": f"query_{at}", "expr": each.replace("$loop", ".*")}
        for at, each in enumerate(expressions())
        if not each.startswith("label_values")
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    found = subprocess.run([str(PROMTOOL), "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helpers.dashboards import DASHBOARDS, GRAFANA, dashboard, expressions
from tests.helpers.declared import MADE_BY_PROMETHEUS, PROMTOOL, grouped, metrics, selectors


def test_there_is_a_dashboard() -> None:
    assert DASHBOARDS
    assert len(expressions()) > 10


@pytest.mark.parametrize("expression", expressions())
def test_a_query_uses_declared_metrics_and_labels_only(expression: str) -> None:
    declared, chosen = metrics(), selectors(expression)
    assert chosen
    for name, labels in chosen:
        assert name in declared, f"no metrics.py declares {name}"
        assert labels | grouped(expression) <= {*declared[name].labels, *MADE_BY_PROMETHEUS}


def test_legends_use_labels_that_their_query_keeps() -> None:
    for path in DASHBOARDS:
        for panel in dashboard(path)["panels"]:
            for target in panel["targets"]:
                kept = {
                    label.strip()
                    for group in re.findall(r"by \(([^)]*)\)", target["expr"])
                    for label in group.split(",")
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
        {"record": f"query_{number}", "expr": query.replace("$loop", ".*")}
        for number, query in enumerate(expressions())
        if not query.startswith("label_values")
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    completed = subprocess.run(
        [str(PROMTOOL), "check", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr

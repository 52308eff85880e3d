"""Each dashboard query returns data from a real Prometheus that scraped a real run; alerts are evaluated."""

from __future__ import annotations

import json
import math
import re
import time
import urllib.parse
import urllib.request
from typing import Any

import pytest
import yaml

from driftloop.process.settings import ROOT
from tests.e2e.running.system import RunningSystem
from tests.helpers.dashboards import expressions
from tests.helpers.eventually import assert_eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not (ROOT / ".local" / "prometheus").exists(), reason="Prometheus is not installed"),
]

LABELS_OF = re.compile(r"label_values\((\w+), (\w+)\)")
RANGE_S = 7200
"""A dashboard's time range; it covers the whole run."""


@pytest.mark.parametrize("expression", [query for query in expressions() if not LABELS_OF.match(query)])
def test_a_panel_query_returns_a_number(running: RunningSystem, expression: str) -> None:
    query = expression.replace("$loop", running.loop.name)
    series = assert_eventually(lambda: _series(running, query), 30.0, query)
    values = [float(value) for one in series for _, value in one["values"]]
    assert any(math.isfinite(value) for value in values)


@pytest.mark.parametrize("expression", [query for query in expressions() if LABELS_OF.match(query)])
def test_a_variable_query_includes_the_loop(running: RunningSystem, expression: str) -> None:
    [(metric, label)] = LABELS_OF.findall(expression)
    assert running.loop.name in _ask(running, f"label/{label}/values", {"match[]": metric})


def test_prometheus_reaches_every_target(running: RunningSystem) -> None:
    targets = _ask(running, "targets", {"state": "active"})["activeTargets"]
    assert len(targets) == 10
    assert [target for target in targets if target["health"] != "up"] == []


def test_prometheus_evaluates_every_alert(running: RunningSystem) -> None:
    groups = yaml.safe_load((ROOT / "infra" / "prometheus" / "rules" / "driftloop.yml").read_text())["groups"]
    wanted = {rule["alert"]: "ok" for group in groups for rule in group["rules"]}
    assert_eventually(lambda: _health_of_alerts(running) == wanted, 60.0, "the alerts' health")


def _health_of_alerts(running: RunningSystem) -> dict[str, str]:
    return {rule["name"]: rule["health"] for group in _ask(running, "rules", {})["groups"] for rule in group["rules"]}


def _series(running: RunningSystem, query: str) -> list[dict[str, Any]]:
    now = time.time()
    series: list[dict[str, Any]] = _ask(
        running, "query_range", {"query": query, "start": f"{now - RANGE_S}", "end": f"{now}", "step": "5"}
    )["result"]
    return series


def _ask(running: RunningSystem, path: str, parameters: dict[str, str]) -> Any:
    url = f"http://{running.settings.local('PROMETHEUS_PORT')}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]

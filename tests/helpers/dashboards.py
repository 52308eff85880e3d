"""The provisioned Grafana dashboards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from driftloop.process.settings import ROOT

GRAFANA = ROOT / "infra" / "grafana" / "provisioning"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))


def dashboard(path: Path) -> dict[str, Any]:
    """Return a dashboard's JSON."""
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def queries(path: Path) -> list[str]:
    """Return the queries of the panels, and of the variables as ``label_values(metric, label)``."""
    board = dashboard(path)
    variables = [variable["query"]["query"] for variable in board["templating"]["list"]]
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]] + variables


def expressions() -> list[str]:
    """Return the queries of all dashboards."""
    return [query for path in DASHBOARDS for query in queries(path)]

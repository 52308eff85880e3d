"""The provisioned dashboards, as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from driftloop.process.settings import ROOT

GRAFANA = ROOT / "infra" / "grafana" / "provisioning"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))


def dashboard(path: Path) -> dict[str, Any]:
    """A dashboard's JSON."""
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def queries(path: Path) -> list[str]:
    """Queries of its panels, and those of its variables as ``label_values(metric, label)``."""
    board = dashboard(path)
    variables = [each["query"]["query"] for each in board["templating"]["list"]]
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]] + variables


def expressions() -> list[str]:
    """Those of all dashboards."""
    return [query for path in DASHBOARDS for query in queries(path)]

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftloop.process.settings import ROOT
from tests.helpers.declared import MADE_BY_PROMETHEUS, PROMTOOL, grouped, metrics, selectors

RULES = ROOT / "infra" / "prometheus" / "rules" / "driftloop.yml"
CASES = ROOT / "tests" / "contract" / "alerts" / "driftloop.yml"
ALERTMANAGER = ROOT / "infra" / "alertmanager" / "alertmanager.yml"
RUNBOOK = ROOT / "docs" / "operations.md"
needs_promtool = pytest.mark.skipif(not PROMTOOL.exists(), reason="Prometheus is not installed")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def name_of(rule: dict[str, Any]) -> str:
    return " ".join([rule["alert"], rule["labels"].get("part", "")]).strip()


def run(*arguments: str, environment: dict[str, str] | None = None) -> str:
    completed = subprocess.run(
        arguments, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **(environment or {})}
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def test_alert_names_are_unique() -> None:
    names = [name_of(rule) for rule in rules()]
    assert len(set(names)) == len(names) > 10


@pytest.mark.parametrize("rule", [pytest.param(rule, id=name_of(rule)) for rule in rules()])
def test_an_alert_has_a_severity_texts_and_a_heading_in_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert ROOT / page == RUNBOOK
    headings = re.findall(r"^#+ (.+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert headings.count(rule["alert"]) == 1
    assert anchor == rule["alert"].lower()


def test_the_runbook_describes_exactly_the_alerts_that_exist() -> None:
    headings = re.findall(r"^#### (.+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert set(headings) == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("rule", [pytest.param(rule, id=name_of(rule)) for rule in rules()])
def test_an_alert_uses_declared_metrics_and_labels_only(rule: dict[str, Any]) -> None:
    declared, chosen = metrics(), selectors(rule["expr"])
    assert chosen or rule["expr"].startswith("up ")
    known = set(MADE_BY_PROMETHEUS)
    for name, labels in chosen:
        assert name in declared, f"no metrics.py declares {name}"
        assert labels <= {*declared[name].labels, *MADE_BY_PROMETHEUS}
        known |= set(declared[name].labels)
    assert grouped(rule["expr"]) <= known


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    fires, is_silent = set(), set()
    for case in yaml.safe_load(CASES.read_text())["tests"]:
        for step in case["alert_rule_test"]:
            for alert in step.get("exp_alerts", []):
                fires.add(" ".join([step["alertname"], alert["exp_labels"].get("part", "")]).strip())
            if not step.get("exp_alerts"):
                is_silent.add(step["alertname"])
    assert fires == {name_of(rule) for rule in rules()}
    assert is_silent == {rule["alert"] for rule in rules()}


@needs_promtool
def test_prometheus_understands_the_rules() -> None:
    assert f"{len(rules())} rules found" in run(str(PROMTOOL), "check", "rules", str(RULES))


@needs_promtool
def test_alerts_fire_where_they_should() -> None:
    assert "SUCCESS" in run(str(PROMTOOL), "test", "rules", str(CASES))


@needs_promtool
@pytest.mark.parametrize("alertmanagers", ["", "127.0.0.1:1", "one:1, two:2"])
def test_prometheus_is_configured_with_the_rules_and_where_to_send_alerts(tmp_path: Path, alertmanagers: str) -> None:
    stand_in = tmp_path / "prometheus"
    stand_in.write_text("#!/bin/sh\n")
    stand_in.chmod(0o755)
    ports = dict(re.findall(r"^(\w+_PORT)=(\d+)$", (ROOT / ".env").read_text(), re.MULTILINE))
    where = {"PROMETHEUS_DIR": str(tmp_path / "data"), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    run("sh", "infra/prometheus/serve.sh", environment={**ports, **where, "ALERTMANAGERS": alertmanagers})
    path = tmp_path / "data" / "prometheus.yml"
    assert f"{len(rules())} rules found" in run(str(PROMTOOL), "check", "config", str(path))
    written = yaml.safe_load(path.read_text())
    [alerting] = written["alerting"]["alertmanagers"]
    assert alerting["static_configs"][0]["targets"] == [address for address in alertmanagers.split(", ") if address]


def test_alertmanager_names_existing_receivers_and_alerts() -> None:
    config = yaml.safe_load(ALERTMANAGER.read_text())
    routes = [config["route"], *config["route"]["routes"]]
    assert {route["receiver"] for route in routes} == {receiver["name"] for receiver in config["receivers"]}
    names = {rule["alert"] for rule in rules()}
    for matcher in re.findall(r'alertname=~?"([^"]+)"', ALERTMANAGER.read_text()):
        assert set(matcher.split("|")) <= names


def test_the_webhook_address_is_in_no_tracked_file() -> None:
    text = ALERTMANAGER.read_text()
    [path] = re.findall(r"api_url_file: /etc/alertmanager/(\S+)", text)
    assert "://" not in text
    assert f"/infra/alertmanager/{path}" in (ROOT / ".gitignore").read_text().splitlines()
    volumes = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["alertmanager"]["volumes"]
    assert "./infra/alertmanager:/etc/alertmanager:ro" in volumes

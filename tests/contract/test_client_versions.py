"""The versions in docs/clients.md are the installed ones."""

from __future__ import annotations

import re

from driftloop.process.settings import ROOT

TEXT = (ROOT / "docs" / "clients.md").read_text()


def test_python_packages_are_those_of_the_lock() -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    named = re.findall(r"([a-z0-9-]+)(?:\[\w+\])?==([\w.]+)", " ".join(re.findall(r"pip install [^`]+", TEXT)))
    assert {name for name, _ in named} == {"confluent-kafka", "grpcio-tools", "tritonclient"}
    assert [(name, version) for name, version in named if locked[name] != version] == []


def test_the_java_client_is_of_the_brokers_version() -> None:
    [version] = re.findall(r"<artifactId>kafka-clients</artifactId>\s+<version>([^<]+)", TEXT)
    assert f"<kafka.version>{version}</kafka.version>" in (ROOT / "infra" / "kafka" / "pom.xml").read_text()


def test_every_go_module_has_a_version() -> None:
    modules = [word for line in re.findall(r"^go (?:get|install) (.+)$", TEXT, re.MULTILINE) for word in line.split()]
    assert len(modules) == 5
    assert all(re.fullmatch(r"\S+@v\d+\.\d+\.\d+", module) for module in modules)

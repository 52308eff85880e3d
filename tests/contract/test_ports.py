from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from driftloop.ops.system.part import SERVICES
from driftloop.process import tcp_ports
from driftloop.process.settings import ROOT, Settings

ENV = dict(line.split("=", 1) for line in (ROOT / ".env").read_text().splitlines() if line and not line.startswith("#"))
PORTS = {name: value for name, value in ENV.items() if name.endswith("_PORT")}
FROM_THE_ENVIRONMENT = {"POSTGRES_PASSWORD", "TRITON_CONTROL_TOKEN"}
"""Secrets: docker-compose refuses to start without them."""
ADDRESS = re.compile(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0):\d+")


def _texts() -> Iterator[tuple[Path, str]]:
    for folder in ("driftloop", "services", "infra", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith((".pyc", "_pb2.py")):
                yield path.relative_to(ROOT), path.read_text(errors="ignore")


def test_ports_are_unique() -> None:
    assert len(set(PORTS.values())) == len(PORTS)
    assert all(1024 < int(value) < 65536 for value in PORTS.values())
    assert tcp_ports.names() == list(PORTS)


def test_every_port_that_the_code_uses_is_in_the_file() -> None:
    for name in PORTS:
        assert tcp_ports.port(name) > 0
    for part in SERVICES:
        assert f"{part.upper()}_PORT" in PORTS


def test_every_port_has_a_unique_offset_from_the_base() -> None:
    assert tcp_ports.OFFSETS.keys() == PORTS.keys()
    assert len(set(tcp_ports.OFFSETS.values())) == len(PORTS)
    assert all(0 <= offset < tcp_ports.SPAN for offset in tcp_ports.OFFSETS.values())


BASES = st.integers(11, 654).map(lambda hundreds: hundreds * tcp_ports.SPAN)


@given(BASES, BASES)
def test_ports_of_two_bases_never_overlap(one: int, other: int) -> None:
    assume(one != other)
    assert not set(tcp_ports.variables(one).values()) & set(tcp_ports.variables(other).values())


def test_no_other_file_contains_a_port() -> None:
    numbers = re.compile(r"(?<![\d.])(?:" + "|".join(PORTS.values()) + r")(?![\d.])")
    hits = [f"{path}: {match[0]}" for path, text in _texts() if (match := numbers.search(text))]
    assert hits == []


def test_no_address_contains_a_literal_port() -> None:
    hits = [f"{path}: {match[0]}" for path, text in _texts() if (match := ADDRESS.search(text))]
    assert hits == []


def test_compose_reads_ports_and_images_from_the_environment_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"\$\{?([A-Z_]+)", text)) <= set(ENV)
    services = yaml.safe_load(text)["services"]
    for name, service in services.items():
        image = service["image"]
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE\}", image) or "build" in service, name
        for published in service.get("ports", []):
            assert re.match(r"127\.0\.0\.1:\$\{[A-Z_]+_PORT\}:", published), name
        unset = {key for key, value in (service.get("environment") or {}).items() if value is None}
        assert unset <= FROM_THE_ENVIRONMENT


def test_compose_passes_prometheus_every_scraped_port() -> None:
    template = (ROOT / "infra" / "prometheus" / "prometheus.yml.in").read_text()
    given_names = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["prometheus"]["environment"]
    assert set(re.findall(r"@([A-Z_]+_PORT)@", template)) <= given_names.keys()
    assert all(given_names[name] == f"${{{name}}}" for name in given_names if name.endswith("_PORT"))


def test_every_image_is_used_and_pinned() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name, image in ENV.items():
        if name.endswith("_IMAGE"):
            assert f"${{{name}}}" in text
            assert re.search(r":v?\d+\.\d+", image), f"{name} floats"


@pytest.mark.parametrize("setting", ["kafka_bootstrap", "triton_grpc", "triton_metrics", "mlflow_uri"])
def test_settings_read_ports_from_the_environment_file(setting: str) -> None:
    value = str(getattr(Settings(), setting))
    assert value.rpartition(":")[2] in PORTS.values()

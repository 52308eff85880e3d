"""The parts, ports and secrets of a cluster on this machine."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from driftloop.ops.system.cluster.layout import Layout, create_secrets
from driftloop.ops.system.cluster.parts import is_store, write_proxy_file
from driftloop.ops.system.part import SERVICES
from driftloop.ops.system.parts import parts
from driftloop.process.settings import Settings
from driftloop.process.tcp_ports import CLUSTER_SPAN, OFFSETS, SPAN


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("cluster")
    settings = Settings(home=folder / "home", cluster_dir=str(folder / "cluster"))
    create_secrets(Layout.of(settings))
    return settings


def passwords(settings: Settings) -> list[str]:
    layout = Layout.of(settings)
    files = [layout.secret(name) for name in ("postgres", "redis", "s3")] + sorted((layout.kafka / "users").iterdir())
    return [path.read_text().strip() for path in files]


def test_every_service_runs_twice_and_only_the_second_has_a_name(settings: Settings) -> None:
    instances = {part.name: part.environment for part in parts(settings) if part.kind == "service"}
    assert set(instances) == {*SERVICES, *(f"{name}-2" for name in SERVICES)}
    assert {name for name, environment in instances.items() if environment.get("DRIFTLOOP_INSTANCE") == "2"} == {
        f"{name}-2" for name in SERVICES
    }


def test_stores_come_first_and_every_name_is_unique(settings: Settings) -> None:
    names = [part.name for part in parts(settings)]
    stores = [part.name for part in parts(settings) if is_store(part)]
    assert len(stores) == 3 + 1 + 6 + 1
    assert names[: len(stores)] == stores
    assert len(set(names)) == len(names)


def test_all_ports_differ_and_are_in_the_range_of_the_cluster(settings: Settings) -> None:
    layout = Layout.of(settings)
    ports = [*layout.kafka_ports]
    ports += [port for node in range(6) for port in layout.redis_ports(node)]
    ports += [layout.second_port(number) for number in range(len(SERVICES))]
    ports += [port for number in (1, 2) for port in (*layout.control_ports(number), *layout.triton_ports(number))]
    assert len(set(ports)) == len(ports)
    assert all(0 <= port - layout.first_port < CLUSTER_SPAN for port in ports)
    others = {offset for name, offset in OFFSETS.items() if name != "CLUSTER_PORT"}
    assert not others & set(range(OFFSETS["CLUSTER_PORT"], OFFSETS["CLUSTER_PORT"] + CLUSTER_SPAN))
    assert OFFSETS["CLUSTER_PORT"] + CLUSTER_SPAN <= SPAN


def test_no_password_is_in_a_command_or_open_to_others(settings: Settings) -> None:
    for password in passwords(settings):
        assert not any(password in word for part in parts(settings) for word in part.command)
    layout = Layout.of(settings)
    for path in [*layout.secret("").iterdir(), *(layout.kafka / "users").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_secrets_stay_the_same_at_the_next_start(settings: Settings) -> None:
    before = passwords(settings)
    create_secrets(Layout.of(settings))
    assert passwords(settings) == before


def test_a_process_with_the_variables_of_a_cluster_has_its_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in Layout.of(settings).environment().items():
        monkeypatch.setenv(name, value)
    found = Settings()
    assert found.kafka_replication == 3
    assert found.database_url("registry").endswith("/registry")
    assert found.store_url == "s3://driftloop/system"
    assert found.cluster_dir == str(Path(settings.cluster_dir))


def test_clients_of_control_reach_the_instance_that_is_ready(settings: Settings) -> None:
    write_proxy_file(settings)
    text = Layout.of(settings).proxy_file.read_text()
    control = {part.name: part for part in parts(settings) if part.name.startswith("control")}
    for part in control.values():
        assert part.environment["DRIFTLOOP_CONTROL_GRPC"] in text
        assert f"check port {part.environment['DRIFTLOOP_HEALTH_PORT']} " in text
    assert f"bind {settings.control_grpc}" in text


def test_each_serving_agent_has_a_triton_of_its_own_behind_the_proxy(settings: Settings) -> None:
    write_proxy_file(settings)
    text = Layout.of(settings).proxy_file.read_text()
    all_parts = {part.name: part for part in parts(settings)}
    for agent, triton in (("serving", "triton"), ("serving-2", "triton-two")):
        address = all_parts[agent].environment["DRIFTLOOP_TRITON_GRPC"]
        assert all_parts[triton].health_url == f"grpc://{address}"
        assert f"server {agent} {address} proto h2 " in text
    repositories = {all_parts[name].environment["TRITON_MODEL_REPOSITORY"] for name in ("triton", "triton-two")}
    assert len(repositories) == 2
    assert f"bind {settings.triton_grpc} proto h2" in text

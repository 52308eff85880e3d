"""The mirror with a real MLflow server on SQLite."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.process.clock import SystemClock
from driftloop.process.errors import ConfigError, Retriable
from driftloop.runner.tables import open_database
from services.registry.adapters.mirror_queue import SqlMirrorQueue
from services.registry.adapters.mlflow_mirror import Api, MlflowError, MlflowRegistry
from services.registry.adapters.sql import SqlLedger, metadata
from services.registry.domain import transitions as machine
from services.registry.domain.release import Change, LoopReleases
from services.registry.mirror import Mirror, MirrorDelays
from services.registry.ports import MirroredRelease
from tests.unit.registry.builders import DAY_MS, SHADOW, candidate, in_stage, offline, policy

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

_READY_WITHIN_S = 180.0
"""It takes 6 s on an idle machine."""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start an MLflow server; yield its URI."""
    folder, port = tmp_path_factory.mktemp("mlflow"), _free_port()
    command = [
        sys.executable, "-m", "driftloop.ops.system.mlflow_server", "--port", str(port),
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as server,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert server.poll() is None, "MLflow ended before it was ready"
            time.sleep(0.1)  # between checks
    raise AssertionError(f"MLflow was not ready within {_READY_WITHIN_S} s")


class Registry:
    """The registry's rows and their mirror."""

    def __init__(self, folder: Path, uri: str, loop: str) -> None:
        self.engine = open_database(f"sqlite:///{folder / 'registry.db'}", metadata)
        self.queue = SqlMirrorQueue(self.engine, "a")
        self.state = LoopReleases(loop)
        self.mirror = Mirror(self.queue, MlflowRegistry(uri, 10.0), SystemClock(), threading.Event(), MirrorDelays())

    def apply(self, change: Change) -> None:
        with self.engine.begin() as connection:
            ledger = SqlLedger(connection)
            before = ledger.load(self.state.loop)
            ledger.save(before, change.state, change.touched)
        self.state = change.state
        self.mirror.drain()
        assert self.queue.backlog() == 0


def model(uri: str, loop: str) -> dict[str, Any]:
    registered = Api(uri, 10.0).call("GET", "registered-models/get", {"name": loop})["registered_model"]
    aliases = {alias["alias"]: alias["version"] for alias in registered.get("aliases", [])}
    query = {"filter": f"name = '{loop}'", "max_results": 100}
    versions = Api(uri, 10.0).call("GET", "model-versions/search", query).get("model_versions", [])
    tags = {version["version"]: {tag["key"]: tag["value"] for tag in version["tags"]} for version in versions}
    return {"aliases": aliases, "tags": tags, "versions": {version["version"]: version for version in versions}}


def test_a_release_is_followed_from_shadow_to_champion_and_back(tmp_path: Path, uri: str) -> None:
    registry = Registry(tmp_path, uri, "orders")
    steps = policy(SHADOW)
    registry.apply(machine.judge_offline(registry.state, candidate(1), offline(1), steps))
    assert model(uri, "orders")["aliases"] == {"champion": "1"}
    registry.apply(machine.judge_offline(registry.state, candidate(2), offline(2), steps))
    copy = model(uri, "orders")
    assert copy["aliases"] == {"champion": "1", "challenger": "2"}
    assert (copy["tags"]["2"]["release_id"], copy["tags"]["2"]["stage"]) == ("r-2", "shadow")
    better = in_stage(2, "shadow", 0, VerdictOutcome.BETTER, 5 * DAY_MS)
    registry.apply(machine.judge_stage(registry.state, better, steps))
    copy = model(uri, "orders")
    assert copy["aliases"] == {"champion": "2"}
    assert [copy["tags"][version]["stage"] for version in ("1", "2")] == ["retired", "champion"]
    registry.apply(machine.roll_back(registry.state, "enough", (), 6 * DAY_MS))
    copy = model(uri, "orders")
    assert copy["aliases"] == {"champion": "1"}
    assert [copy["tags"][version]["stage"] for version in ("1", "2")] == ["champion", "rolled-back"]
    assert copy["tags"]["1"]["digest"] == "digest-1"
    registry.engine.dispose()


def test_a_repeated_copy_adds_nothing(tmp_path: Path, uri: str) -> None:
    registry = Registry(tmp_path, uri, "again")
    registry.apply(machine.judge_offline(registry.state, candidate(1), offline(1), policy()))
    before = model(uri, "again")
    with registry.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE mirror SET version = '', mirrored_generation = 0")
    assert registry.mirror.drain() == 1
    after = model(uri, "again")
    assert (after["aliases"], after["tags"]) == (before["aliases"], before["tags"])
    registry.engine.dispose()


def test_the_version_of_a_logged_run_has_its_bundle_as_source(uri: str) -> None:
    api = Api(uri, 10.0)
    experiment = api.call("POST", "experiments/create", {"name": "logged"})["experiment_id"]
    tags = [{"key": "driftloop.run_id", "value": "run-7"}]
    run = api.call("POST", "runs/create", {"experiment_id": experiment, "start_time": 1, "tags": tags})["run"]
    release = MirroredRelease("r-7", "run-7", "digest", "/b/7", "champion", 1)
    version = MlflowRegistry(uri, 10.0).ensure_version("logged", release, "")
    copy = model(uri, "logged")["versions"][version]
    assert copy["run_id"] == run["info"]["run_id"]
    assert copy["source"] == f"{run['info']['artifact_uri']}/bundle"


def test_the_mlflow_client_reads_the_copy(uri: str) -> None:
    from mlflow.tracking import MlflowClient  # takes seconds to import

    release = MirroredRelease("r-1", "run-1", "digest", "/b/1", "champion", 1)
    target = MlflowRegistry(uri, 10.0)
    version = target.ensure_version("read_back", release, "")
    target.set_aliases("read_back", {"champion": version})
    copy = MlflowClient(uri).get_model_version_by_alias("read_back", "champion")
    assert (copy.version, copy.tags["release_id"]) == (version, "r-1")


def test_an_absent_or_refusing_server_is_retriable(uri: str) -> None:
    release = MirroredRelease("r-1", "run-1", "digest", "/b/1", "champion", 1)
    with pytest.raises(Retriable, match="does not answer"):
        MlflowRegistry(f"http://127.0.0.1:{_free_port()}", 2.0).ensure_version("orders", release, "")
    with pytest.raises(MlflowError) as caught:
        MlflowRegistry(uri, 10.0).set_aliases("nobody", {"champion": "1"})
    assert caught.value.code == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(Retriable, match="is not a name"):
        MlflowRegistry(uri, 10.0).ensure_version("orders' or '1", release, "")


def test_an_invalid_address_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="give the address of a server"):
        MlflowRegistry("sqlite:///mlflow.db", 1.0)

"""Tests of what only Ray does: reserved resources, ids that are kept, and an interface that refuses or is away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from driftloop.process.errors import ConfigError, Retriable
from services.training.adapters.ray_launcher import RayLauncher, job_id
from services.training.config import RaySettings, TrainingSettings
from services.training.errors import LaunchRefused
from services.training.launchers import make_launcher
from services.training.ports import Observation
from services.training.spec import RUNS, Failed, RunSpec, Trained
from tests.helpers.clock import FakeClock
from tests.helpers.eventually import assert_eventually
from tests.helpers.ray_api import RayApi
from tests.integration.training.launchers import ray_launcher
from tests.integration.training.runs import spec_for
from tests.integration.training.test_launchers import RESULT, SLEEP, published_failure

pytestmark = pytest.mark.integration


@dataclass
class Cluster:
    """A cluster, and a run that is launched on it."""

    home: Path
    api: RayApi
    clock: FakeClock

    def launcher(self, **settings: object) -> RayLauncher:
        values = RaySettings(ray_address=self.api.address, launcher_start_limit_s=60).model_copy(update=settings)
        seconds = lambda: self.clock.now_ms() / 1000  # noqa: E731
        return RayLauncher(values, self.home, {"TZ": "UTC"}, command=["sleep", "120"], monotonic=seconds)

    @property
    def spec(self) -> RunSpec:
        return replace(spec_for(self.home / RUNS / "orders" / "run-1"), time_limit_s=90.0, memory_limit_mib=512)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with RayApi(tmp_path).running() as api:
        yield Cluster(tmp_path, api, FakeClock())


def test_a_job_reserves_what_the_settings_say(cluster: Cluster) -> None:
    cluster.api.full = True
    cluster.launcher(ray_gpus=0.5, ray_cpus=2.0, ray_resources={"fast_disk": 1.0}).launch(cluster.spec)
    (job,) = cluster.api.submitted
    assert (job["entrypoint_num_cpus"], job["entrypoint_num_gpus"]) == (2.0, 0.5)
    assert job["entrypoint_memory"] == (512 + 1024) << 20
    assert job["entrypoint_resources"] == {"fast_disk": 1.0}
    assert job["entrypoint"] == f"sleep 120 --spec {cluster.spec.folder}/spec.json"
    assert job["runtime_env"] == {"env_vars": {"TZ": "UTC"}}


def test_a_job_finds_its_spec_from_any_folder(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home may be relative to the folder in which the services start."""
    monkeypatch.chdir(cluster.home.parent)
    settings = TrainingSettings(launcher="ray", ray_address=cluster.api.address, home=Path(cluster.home.name))
    cluster.api.full = True
    make_launcher(settings).launch(cluster.spec)
    assert cluster.api.submitted[0]["entrypoint"].endswith(f"--spec {cluster.spec.folder}/spec.json")


def test_a_run_that_finds_no_room_in_time_fails_with_rays_reason(cluster: Cluster) -> None:
    cluster.api.full = True
    launcher = cluster.launcher()
    launcher.launch(cluster.spec)
    assert launcher.observe(cluster.spec) == Observation("pending")
    cluster.clock.move(61)
    failure = published_failure(cluster.home, launcher, cluster.spec)
    assert failure.reason == "error"
    assert failure.detail.startswith(
        "did not start within 61 s: Job has not started yet. It may be waiting for resources"
    )
    assert cluster.api.jobs == {}


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"status": "FAILED", "driver_exit_code": 1}, "exit code 1\nno such module"),
        ({"status": "FAILED", "message": "The node is gone."}, "The node is gone.\nno such module"),
    ],
)
def test_a_job_that_fails_is_reported_with_the_end_of_its_log(
    cluster: Cluster, job: dict[str, object], expected: str
) -> None:
    cluster.api.full = True
    launcher = cluster.launcher()
    launcher.launch(cluster.spec)
    cluster.api.jobs[job_id(cluster.spec)] |= job
    (cluster.home / f"{job_id(cluster.spec)}.log").write_text("no such module\n")
    assert launcher.observe(cluster.spec) == Observation("ended", result=Failed("error", expected))


def test_a_killed_job_is_a_failed_run(cluster: Cluster) -> None:
    launcher = ray_launcher(cluster.api.address, cluster.home, SLEEP)
    launcher.launch(cluster.spec)
    assert_eventually((Path(cluster.spec.folder) / "pid-of-run").exists)
    cluster.api.kill_jobs()
    failure = published_failure(cluster.home, launcher, cluster.spec)
    assert failure.reason == "error"
    assert failure.detail.startswith("exit code -9")


def test_a_job_that_succeeds_without_a_result_has_failed(cluster: Cluster) -> None:
    cluster.api.full = True
    launcher = cluster.launcher()
    launcher.launch(cluster.spec)
    cluster.api.jobs[job_id(cluster.spec)]["status"] = "SUCCEEDED"
    result = launcher.observe(cluster.spec).result
    assert isinstance(result, Failed)
    assert result.detail.startswith("the Ray job ended without a result in ")


def test_a_run_that_somebody_stopped_can_be_launched_again(cluster: Cluster) -> None:
    cluster.api.full = True
    cluster.launcher().launch(cluster.spec)
    cluster.launcher().stop(cluster.spec)
    cluster.api.full = False
    launcher = ray_launcher(cluster.api.address, cluster.home, RESULT)
    assert launcher.observe(cluster.spec) == Observation("absent")
    launcher.launch(cluster.spec)
    assert_eventually(lambda: launcher.observe(cluster.spec).phase == "ended")
    assert isinstance(launcher.observe(cluster.spec).result, Trained)


def test_a_job_of_another_system_is_left_alone(cluster: Cluster) -> None:
    cluster.launcher().launch(cluster.spec)
    other = RayLauncher(RaySettings(ray_address=cluster.api.address), cluster.home / "other", {})
    with pytest.raises(LaunchRefused, match=r"belongs to .*; use a cluster for each system"):
        other.launch(cluster.spec)
    assert len(cluster.api.submitted) == 1


def test_a_job_that_ray_refuses_is_a_failed_run(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(method: str, path: str, body: object) -> tuple[int, str]:
        return (400, "Traceback:\nTypeError: bad resources") if method == "POST" else (404, "no such job")

    monkeypatch.setattr(cluster.api, "answer", answer)
    failure = published_failure(cluster.home, cluster.launcher(), cluster.spec)
    assert failure.reason == "error"
    assert failure.detail == "Ray refuses the job driftloop-run-run-1: TypeError: bad resources"


def test_a_cluster_that_is_away_is_asked_again(cluster: Cluster) -> None:
    launcher = cluster.launcher()
    cluster.api.failing = (500, "Traceback\nRuntimeError: no agent")
    for call in (launcher.launch, launcher.observe, launcher.stop):
        with pytest.raises(Retriable, match="RuntimeError: no agent"):
            call(cluster.spec)
    nobody = RayLauncher(RaySettings(ray_address="http://127.0.0.1:1"), cluster.home, {})
    with pytest.raises(Retriable, match=r"Ray at http://127\.0\.0\.1:1: "):
        nobody.observe(cluster.spec)


def test_the_token_is_read_for_each_request(cluster: Cluster, tmp_path: Path) -> None:
    token = tmp_path / "token"
    launcher = cluster.launcher(ray_token_file=str(token))
    with pytest.raises(ConfigError, match=r"DRIFTLOOP_RAY_TOKEN_FILE is .* cannot be read"):
        launcher.observe(cluster.spec)
    for word in ("first", "second"):
        token.write_text(f"{word}\n")
        launcher.observe(cluster.spec)
        assert cluster.api.headers[-1]["Authorization"] == f"Bearer {word}"

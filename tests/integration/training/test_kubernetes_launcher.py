"""Tests of what only Kubernetes does: nodes, images, limits of containers, and an API that refuses or is away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from driftloop.process.errors import ConfigError, Retriable
from services.training.adapters.kubernetes_launcher import KubernetesLauncher, job_name
from services.training.errors import LaunchRefused
from services.training.ports import Observation
from services.training.spec import RUNS, Failed, RunSpec
from tests.helpers.clock import FakeClock
from tests.helpers.eventually import assert_eventually
from tests.helpers.kubernetes_api import NAMESPACE, KubernetesApi, status
from tests.integration.training.launchers import SETTINGS
from tests.integration.training.runs import remote_program, spec_for
from tests.integration.training.test_launchers import SLEEP, published_failure

pytestmark = pytest.mark.integration


@dataclass
class Cluster:
    """An API server, and a run that is launched on it."""

    home: Path
    api: KubernetesApi
    clock: FakeClock

    def launcher(self, text: str = SLEEP, start_limit_s: float = 60.0) -> KubernetesLauncher:
        settings = SETTINGS.model_copy(update={"launcher_start_limit_s": start_limit_s})
        seconds = lambda: self.clock.now_ms() / 1000  # noqa: E731
        return KubernetesLauncher(settings, self.home, {}, command=remote_program(text), monotonic=seconds)

    @property
    def spec(self) -> RunSpec:
        return replace(spec_for(self.home / RUNS / "orders" / "run-1"), time_limit_s=90.0, memory_limit_mib=512)

    @property
    def name(self) -> str:
        return job_name(self.spec)

    def launched_without_node(self) -> KubernetesLauncher:
        """Launch a run whose pod does not start."""
        self.api.waiting = {"reason": "ContainerCreating"}
        launcher = self.launcher()
        launcher.launch(self.spec)
        return launcher


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    folder = tmp_path / "kubernetes"
    folder.mkdir()
    with KubernetesApi(folder).running() as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig()))
        yield Cluster(tmp_path, api, FakeClock())


def test_a_run_that_finds_no_node_in_time_fails_with_the_schedulers_reason(cluster: Cluster) -> None:
    cluster.api.unschedulable = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"
    launcher = cluster.launcher()
    launcher.launch(cluster.spec)
    assert launcher.observe(cluster.spec) == Observation("pending")
    cluster.clock.move(60)
    assert launcher.observe(cluster.spec) == Observation("pending")
    cluster.clock.move(1)
    overdue = launcher.observe(cluster.spec).overdue
    reason = "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu"
    assert overdue == Failed("error", f"did not start within 61 s: {reason}")


def test_a_run_without_an_image_is_stopped_and_published_as_failed(cluster: Cluster) -> None:
    cluster.api.waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "driftloop:1"'}
    launcher = cluster.launcher(start_limit_s=0.001)
    launcher.launch(cluster.spec)
    launcher.observe(cluster.spec)
    cluster.clock.move(1)
    failure = published_failure(cluster.home, launcher, cluster.spec)
    assert failure.reason == "error"
    assert failure.detail == 'did not start within 1 s: ImagePullBackOff: Back-off pulling image "driftloop:1"'
    assert cluster.api.jobs == {}


def test_a_pod_that_starts_late_is_not_overdue_when_it_is_replaced(cluster: Cluster) -> None:
    launcher = cluster.launched_without_node()
    launcher.observe(cluster.spec)
    cluster.clock.move(50)
    cluster.api.pods[cluster.name]["status"] = {"phase": "Running", "containerStatuses": [container(running={})]}
    assert launcher.observe(cluster.spec) == Observation("running")
    cluster.api.pods[cluster.name]["status"] = {"phase": "Pending"}
    assert launcher.observe(cluster.spec) == Observation("pending")
    cluster.clock.move(50)
    assert launcher.observe(cluster.spec) == Observation("pending")


def container(**state: object) -> dict[str, object]:
    return {"name": "run", "state": state, "ready": True, "restartCount": 0, "image": "", "imageID": ""}


@pytest.mark.parametrize(
    ("state", "condition", "expected"),
    [
        (
            {"exitCode": 137, "reason": "OOMKilled"},
            {"reason": "BackoffLimitExceeded"},
            Failed("memory", "the kernel killed the run at the container's limit of 1536 MiB"),
        ),
        (
            {"exitCode": 137, "reason": "Error"},
            {"reason": "BackoffLimitExceeded"},
            Failed("error", "exit code 137"),
        ),
        (
            {"exitCode": 1, "reason": "Error", "message": "no such module\n"},
            {"reason": "BackoffLimitExceeded"},
            Failed("error", "exit code 1\nno such module"),
        ),
        (
            None,
            {"reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"},
            Failed("error", "the pod is lost: Job has reached the specified backoff limit"),
        ),
        (None, {"reason": "DeadlineExceeded"}, Failed("timeout", "the Job had not ended after 150 s")),
    ],
)
def test_what_the_run_cannot_report_is_read_from_job_and_pod(
    cluster: Cluster, state: dict[str, object] | None, condition: dict[str, object], expected: Failed
) -> None:
    launcher = cluster.launched_without_node()
    cluster.api.end(cluster.name, state, {"type": "Failed", **condition})
    assert launcher.observe(cluster.spec) == Observation("ended", result=expected)


def test_a_killed_pod_is_a_failed_run(cluster: Cluster) -> None:
    launcher = cluster.launcher()
    launcher.launch(cluster.spec)
    pid = Path(cluster.spec.folder) / "pid-of-run"
    assert_eventually(pid.exists)
    cluster.api.kill_pods()
    failure = published_failure(cluster.home, launcher, cluster.spec)
    assert (failure.reason, failure.detail) == ("error", "exit code 137")


def test_a_job_that_ends_without_a_result_has_failed(cluster: Cluster) -> None:
    launcher = cluster.launched_without_node()
    cluster.api.end(cluster.name, {"exitCode": 0, "reason": "Completed"}, {"type": "Complete"})
    result = launcher.observe(cluster.spec).result
    assert isinstance(result, Failed)
    assert result.detail.startswith("the Job ended without a result in ")


def test_a_job_of_another_system_is_left_alone(cluster: Cluster) -> None:
    cluster.launched_without_node()
    other = KubernetesLauncher(SETTINGS, cluster.home / "other", {}, command=remote_program(SLEEP))
    with pytest.raises(LaunchRefused, match=rf"{NAMESPACE}/driftloop-run-run-1 belongs to .*use a namespace for each"):
        other.launch(cluster.spec)
    assert len(cluster.api.created) == 1


def test_a_launch_waits_until_a_deleted_job_is_gone(cluster: Cluster) -> None:
    launcher = cluster.launched_without_node()
    cluster.api.jobs[cluster.name]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    with pytest.raises(Retriable, match="is being deleted"):
        launcher.launch(cluster.spec)
    launcher.stop(cluster.spec)
    assert launcher.observe(cluster.spec) == Observation("absent")
    launcher.launch(cluster.spec)
    assert len(cluster.api.created) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        status(403, "Forbidden", "jobs.batch is forbidden: exceeded quota: gpus"),
        status(422, "Invalid", 'Job.batch "driftloop-run-run-1" is invalid: spec.template: Required value'),
    ],
)
def test_a_job_that_the_api_refuses_is_a_failed_run(cluster: Cluster, refusal: object) -> None:
    cluster.api.failing = refusal  # type: ignore[assignment]
    failure = published_failure(cluster.home, cluster.launcher(), cluster.spec)
    assert failure.reason == "error"
    assert failure.detail.startswith("Kubernetes refuses the Job driftloop-run-run-1: ")
    assert failure.detail.endswith(refusal.body["message"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_an_api_that_is_away_is_asked_again(cluster: Cluster, code: int) -> None:
    launcher = cluster.launched_without_node()
    cluster.api.failing = status(code, "Unavailable", "try later")
    for call in (launcher.launch, launcher.observe, launcher.stop):
        with pytest.raises(Retriable, match="try later"):
            call(cluster.spec)
    cluster.api.failing = status(403, "Forbidden", "no right")
    for call in (launcher.observe, launcher.stop):
        with pytest.raises(Retriable, match="no right"):
            call(cluster.spec)


def test_an_api_that_nobody_listens_on_is_asked_again(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    config = cluster.api.kubeconfig()
    config.write_text(config.read_text().replace(f":{cluster.api.port}", ":1"))
    with pytest.raises(Retriable, match="Kubernetes: "):
        cluster.launcher().launch(cluster.spec)


def test_no_configuration_of_a_cluster_is_an_error_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match=r"Kubernetes: .*missing not found; set KUBECONFIG"):
        KubernetesLauncher(SETTINGS, tmp_path, {})

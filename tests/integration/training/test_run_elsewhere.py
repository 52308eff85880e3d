"""A run that a cluster executes gives the same weights as one on this machine."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from driftloop.process.settings import ROOT
from services.training.adapters.kubernetes_launcher import COMMAND, KubernetesLauncher
from services.training.adapters.ray_launcher import RayLauncher
from services.training.config import RaySettings, TrainingSettings
from services.training.launchers import run_environment
from services.training.ports import Launcher
from services.training.spec import RUNS, SPEC, Trained, read_spec
from tests.helpers.eventually import assert_eventually
from tests.helpers.kubernetes_api import KubernetesApi
from tests.helpers.ray_cluster import RayCluster
from tests.helpers.ray_cluster import ray_cluster as ray_cluster
from tests.integration.training.launchers import SETTINGS
from tests.integration.training.test_run import Finished
from tests.integration.training.test_run import finished as finished

pytestmark = [pytest.mark.integration, pytest.mark.proof, pytest.mark.timeout(420)]

PROGRAM = (sys.executable, *COMMAND[1:])


def test_a_kubernetes_job_trains_the_same_weights(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KubernetesApi(tmp_path).running() as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig()))
        environment = run_environment(TrainingSettings())
        launcher = KubernetesLauncher(SETTINGS, tmp_path, environment, command=PROGRAM)
        assert trained(launcher, finished, tmp_path).bundle_digest == finished.candidate.data.bundle.digest


def test_a_ray_job_trains_the_same_weights(ray_cluster: RayCluster, finished: Finished, tmp_path: Path) -> None:
    settings = RaySettings(ray_address=ray_cluster.address, ray_extra_memory_mib=0)
    environment = run_environment(TrainingSettings()) | {"PYTHONPATH": str(ROOT)}
    launcher = RayLauncher(settings, tmp_path, environment, command=PROGRAM)
    assert trained(launcher, finished, tmp_path).bundle_digest == finished.candidate.data.bundle.digest


def trained(launcher: Launcher, finished: Finished, shared: Path) -> Trained:
    """Launch the finished run again, with folders of its own; return its result."""
    spec = read_spec(finished.folder / SPEC)
    again = replace(
        spec,
        folder=str(shared / RUNS / spec.loop / spec.run_id),
        bundle_folder=str(shared / "bundle"),
        mlflow_uri=f"sqlite:///{shared}/mlflow.db",
        mlflow_artifacts=str(shared / "artifacts"),
        memory_limit_mib=2048,
    )
    launcher.launch(again)
    assert_eventually(lambda: launcher.observe(again).phase == "ended", timeout_s=300)
    result = launcher.observe(again).result
    assert isinstance(result, Trained), result
    return result

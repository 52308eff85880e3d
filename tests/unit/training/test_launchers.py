"""Settings of the launchers, and what a Kubernetes Job of a run contains."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from lightkube.resources.batch_v1 import Job
from pydantic import ValidationError

from driftloop.process.errors import ConfigError
from services.training.adapters.kubernetes_launcher import job_of
from services.training.adapters.ray_launcher import RayLauncher
from services.training.adapters.subprocess_launcher import SubprocessLauncher
from services.training.config import KubernetesSettings, TrainingSettings
from services.training.launchers import make_launcher
from tests.unit.training.fakes import spec_in

CLUSTER = {
    "DRIFTLOOP_LAUNCHER": "kubernetes",
    "DRIFTLOOP_STORE_URL": "s3://bucket/driftloop",
    "DRIFTLOOP_STATE_URL": "postgresql://me:hush-hush@db/{service}",
    "DRIFTLOOP_MLFLOW_URI": "http://mlflow:5000",
    "DRIFTLOOP_KUBERNETES_IMAGE": "registry/driftloop:1",
}


def test_runs_are_local_processes_by_default() -> None:
    settings = TrainingSettings()
    assert isinstance(make_launcher(settings), SubprocessLauncher)
    assert settings.worker_pause_s == 0.25


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DRIFTLOOP_STORE_URL", "", "needs a bucket; set DRIFTLOOP_STORE_URL"),
        ("DRIFTLOOP_STATE_URL", "", "cannot read Feast's registry in an SQLite file; set DRIFTLOOP_STATE_URL"),
        ("DRIFTLOOP_STATE_URL", "sqlite:////tmp/{service}.db", "cannot read Feast's registry in an SQLite file"),
        ("DRIFTLOOP_STATE_URL", "postgresql://me@localhost/{service}", "name its host in DRIFTLOOP_STATE_URL"),
        ("DRIFTLOOP_MLFLOW_URI", "http://127.0.0.1:5000", "needs an MLflow server it can reach"),
        ("DRIFTLOOP_MLFLOW_URI", "sqlite:////tmp/mlflow.db", "needs an MLflow server it can reach"),
        ("DRIFTLOOP_KUBERNETES_IMAGE", "", "set DRIFTLOOP_KUBERNETES_IMAGE to the image of a run"),
        ("KUBECONFIG", "/nowhere/config", "set KUBECONFIG, or run in a pod with a service account"),
    ],
)
def test_a_setting_that_a_run_in_a_cluster_needs_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    for variable, given in (CLUSTER | {name: value}).items():
        monkeypatch.setenv(variable, given)
    with pytest.raises(ConfigError) as refused:
        make_launcher(TrainingSettings())
    assert problem in str(refused.value)
    assert "hush" not in str(refused.value)


def test_a_ray_cluster_elsewhere_needs_stores_that_it_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLOOP_LAUNCHER", "ray")
    with pytest.raises(ConfigError, match="set DRIFTLOOP_RAY_ADDRESS to the cluster"):
        make_launcher(TrainingSettings())
    monkeypatch.setenv("DRIFTLOOP_RAY_ADDRESS", "http://ray-head:8265")
    with pytest.raises(ConfigError, match="DRIFTLOOP_LAUNCHER=ray: a run on another machine needs a bucket"):
        make_launcher(TrainingSettings())
    monkeypatch.setenv("DRIFTLOOP_RAY_ADDRESS", "http://127.0.0.1:8265")
    assert isinstance(make_launcher(TrainingSettings()), RayLauncher)


def test_an_unknown_launcher_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLOOP_LAUNCHER", "slurm")
    with pytest.raises(ValidationError, match="launcher"):
        TrainingSettings()


def test_runs_in_a_cluster_are_checked_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, given in CLUSTER.items():
        monkeypatch.setenv(variable, given)
    assert TrainingSettings().worker_pause_s == 2.0


def test_a_job_has_the_settings_and_names_secrets_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, given in {
        **CLUSTER,
        "DRIFTLOOP_KUBERNETES_NODE_SELECTOR": '{"pool": "training"}',
        "DRIFTLOOP_KUBERNETES_TOLERATIONS": '[{"key": "gpu", "operator": "Exists", "tolerationSeconds": 60}]',
        "DRIFTLOOP_KUBERNETES_SECRETS": '["driftloop"]',
        "DRIFTLOOP_KUBERNETES_CONFIG_MAPS": '["driftloop-settings"]',
        "DRIFTLOOP_KUBERNETES_GPUS": "2",
        "DRIFTLOOP_KUBERNETES_CPU": "1500m",
        "DRIFTLOOP_KUBERNETES_SERVICE_ACCOUNT": "trainer",
        "DRIFTLOOP_KUBERNETES_USER": "10001",
        "DRIFTLOOP_KUBERNETES_IMAGE_PULL_SECRETS": '["registry"]',
    }.items():
        monkeypatch.setenv(variable, given)
    settings = TrainingSettings()
    spec = replace(
        spec_in(tmp_path), state_url=settings.state_url, time_limit_s=600.5, memory_limit_mib=6144, run_id="5f0e"
    )
    job = job_of(spec, "s3://bucket/driftloop/training/orders/5f0e/spec.json", settings, {"TZ": "UTC"})
    assert "hush" not in json.dumps(job)
    assert Job.from_dict(job).to_dict() == json.loads(json.dumps(job)), "a field that Kubernetes' types lack is lost"
    assert job["metadata"]["name"] == "driftloop-run-5f0e"
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (0, 1501)
    pod = job["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "training"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 60}]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("trainer", False)
    assert pod["securityContext"]["runAsUser"] == 10001
    (container,) = pod["containers"]
    assert container["command"][-2:] == ["--spec", "s3://bucket/driftloop/training/orders/5f0e/spec.json"]
    limits = {"memory": "7168Mi", "nvidia.com/gpu": "2"}
    assert container["resources"] == {"requests": {"cpu": "1500m", **limits}, "limits": limits}
    assert container["envFrom"] == [
        {"configMapRef": {"name": "driftloop-settings"}},
        {"secretRef": {"name": "driftloop"}},
    ]


def test_a_pod_meets_the_restricted_standard_and_writes_to_volumes_only(tmp_path: Path) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    pod = job_of(spec_in(tmp_path), "s3://b/spec.json", KubernetesSettings(), {})["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    variables = {entry["name"]: entry["value"] for entry in container["env"]}
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {variables["HOME"], variables["DRIFTLOOP_HOME"]} <= mounted
    assert all("emptyDir" in volume for volume in pod["volumes"])
    assert "serviceAccountName" not in pod

"""Chooses the launcher of runs, and checks that its settings fit together."""

from __future__ import annotations

from urllib.parse import urlsplit

from driftloop.process.errors import ConfigError
from driftloop.process.object_store import RemoteFolder
from services.training.adapters.subprocess_launcher import SubprocessLauncher
from services.training.config import TrainingSettings
from services.training.ports import Launcher

_HERE = {"127.0.0.1", "localhost", "::1", ""}


def make_launcher(settings: TrainingSettings) -> Launcher:
    """Return the launcher that the settings name.

    Raises:
        ConfigError: a setting that it needs is missing or wrong.
    """
    if settings.launcher == "subprocess":
        return SubprocessLauncher(run_environment(settings))
    if settings.launcher == "ray":
        return _ray(settings)
    _require_shared_stores(settings)
    if not settings.kubernetes_image:
        raise ConfigError("DRIFTLOOP_LAUNCHER=kubernetes: set DRIFTLOOP_KUBERNETES_IMAGE to the image of a run")
    from services.training.adapters.kubernetes_launcher import KubernetesLauncher  # its client is not always needed

    return KubernetesLauncher(settings, settings.shared, run_environment(settings))


def _ray(settings: TrainingSettings) -> Launcher:
    """Return the launcher of Ray jobs. A cluster on this machine reaches the stores of this machine."""
    if not settings.ray_address:
        raise ConfigError(
            "DRIFTLOOP_LAUNCHER=ray: set DRIFTLOOP_RAY_ADDRESS to the cluster, such as http://ray-head:8265"
        )
    if urlsplit(settings.ray_address).hostname not in _HERE:
        _require_shared_stores(settings)
    from services.training.adapters.ray_launcher import RayLauncher  # its client is not always needed

    shared = settings.shared if isinstance(settings.shared, RemoteFolder) else settings.home.resolve()
    return RayLauncher(settings, shared, run_environment(settings))


def run_environment(settings: TrainingSettings) -> dict[str, str]:
    """Return the environment variables that a run's processes get in addition. Feast's SQLite store needs UTC."""
    threads = str(settings.run_threads)
    return {
        "TZ": "UTC",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "PYTHONHASHSEED": "0",
        "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
    }


def _require_shared_stores(settings: TrainingSettings) -> None:
    """Raise ConfigError if a run on another machine could not reach a store."""
    reason = f"DRIFTLOOP_LAUNCHER={settings.launcher}: a run on another machine"
    if not settings.store_url:
        raise ConfigError(f"{reason} needs a bucket; set DRIFTLOOP_STORE_URL")
    if not settings.state_url or settings.state_url.startswith("sqlite"):
        raise ConfigError(f"{reason} cannot read Feast's registry in an SQLite file; set DRIFTLOOP_STATE_URL")
    if urlsplit(settings.state_url.format(service="feast")).hostname in _HERE:
        raise ConfigError(f"{reason} cannot reach the database on this machine; name its host in DRIFTLOOP_STATE_URL")
    mlflow = urlsplit(settings.mlflow_uri)
    if mlflow.scheme not in ("http", "https") or mlflow.hostname in _HERE:
        raise ConfigError(f"{reason} needs an MLflow server it can reach; set DRIFTLOOP_MLFLOW_URI to its http address")

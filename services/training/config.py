"""Settings of the training service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from driftloop.process.settings import Settings


class LauncherSettings(Settings):
    """Where runs are executed."""

    launcher: Literal["subprocess", "kubernetes", "ray"] = "subprocess"
    """`subprocess`: on this machine. `kubernetes`: each run is a Job. `ray`: each run is a job of a Ray cluster."""
    launcher_start_limit_s: float = Field(default=900.0, gt=0)
    """Most seconds that a cluster may take to find a node and load the image. The run fails after that."""


class KubernetesSettings(LauncherSettings):
    """A run as a Kubernetes Job. The cluster's address is that of the pod's service account, or in `KUBECONFIG`."""

    kubernetes_namespace: str = ""
    """Namespace of the Jobs; empty: that of the service account or the kubeconfig."""
    kubernetes_image: str = ""
    """Image of this version of driftloop, with the loops and Feast's definitions."""
    kubernetes_image_pull_secrets: tuple[str, ...] = ()
    """Secrets with passwords of the image's registry."""
    kubernetes_service_account: str = ""
    """Service account of the pods, for access to the bucket; empty: the namespace's default. No token is mounted."""
    kubernetes_config_maps: tuple[str, ...] = ()
    """Config maps whose entries become environment variables of a run."""
    kubernetes_secrets: tuple[str, ...] = ()
    """Secrets whose entries become environment variables of a run, such as `DRIFTLOOP_STATE_URL`."""
    kubernetes_user: int | None = Field(default=None, ge=1)
    """Number of the user that runs the pod; None: the image's, which must be a number other than 0."""
    kubernetes_cpu: str = "1"
    """Requested CPUs."""
    kubernetes_extra_memory_mib: int = Field(default=1024, ge=0)
    """MiB of a container beyond the loop's `training.memory_limit_mib`, which the run's own limit does not count."""
    kubernetes_gpus: int = Field(default=0, ge=0)
    """GPUs of a run."""
    kubernetes_gpu_resource: str = "nvidia.com/gpu"
    """Name of the resource that counts GPUs."""
    kubernetes_node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels that a node must have, as JSON."""
    kubernetes_tolerations: tuple[dict[str, str | int], ...] = ()
    """Tolerations of the pods, as a JSON list."""
    kubernetes_keep_s: int = Field(default=86_400, ge=60)
    """Time after which Kubernetes deletes a Job that has ended, with its pod and log."""


def _pause_s(settings: Mapping[str, Any]) -> float:
    return 0.25 if settings.get("launcher", "subprocess") == "subprocess" else 2.0


class RaySettings(LauncherSettings):
    """A run as a job of a Ray cluster, whose machines have this version of driftloop and its variables."""

    ray_address: str = Field(default="", pattern=r"^(https?://.+)?$")
    """Address of the cluster's dashboard, such as `http://ray-head:8265`."""
    ray_token_file: str = ""
    """File with the cluster's token, if it asks for one."""
    ray_cpus: float = Field(default=1.0, ge=0)
    """CPUs to reserve for a run."""
    ray_gpus: float = Field(default=0.0, ge=0)
    """GPUs to reserve for a run."""
    ray_extra_memory_mib: int = Field(default=1024, ge=0)
    """MiB to reserve beyond the loop's `training.memory_limit_mib`."""
    ray_resources: dict[str, float] = Field(default_factory=dict)
    """Custom resources to reserve for a run, as JSON."""


class TrainingSettings(KubernetesSettings, RaySettings):
    """Settings of the training service. When and how a loop trains is in its `loop.yaml`."""

    worker_pause_s: float = Field(default_factory=_pause_s, gt=0)
    """Pause between checks of the open runs, and therefore of their memory and time. 2 s for runs in a cluster."""
    run_threads: int = Field(default=1, ge=1)
    """Number of threads of a run's numeric libraries. With one thread, the same manifest gives the same weights."""

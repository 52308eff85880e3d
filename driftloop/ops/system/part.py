"""A process that the supervisor keeps running, as data; and the services of driftloop."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Literal

from driftloop.process.settings import ROOT, Settings


@dataclass(frozen=True)
class Part:
    """A process that the supervisor keeps running."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    health_url: str = ""
    """http: answers 200 when the part is ready. grpc: answers gRPC's health check. tcp: accepts a connection. Empty for
    Kafka."""
    kind: Literal["infrastructure", "service"] = "service"
    stop_timeout_s: float = 15.0
    stop_signal: Literal["SIGTERM", "SIGINT"] = "SIGTERM"

    @property
    def stop_children(self) -> bool:
        """Return whether a stop signals its children too.

        A service stops its own children and knows that they did not fail.
        """
        return self.kind == "infrastructure"


SERVICES = {
    "ingestion": "services.ingestion",
    "features": "services.features",
    "training": "services.training",
    "evaluation": "services.evaluation",
    "registry": "services.registry",
    "serving": "services.serving",
    "monitoring": "services.monitoring",
    "detectors": "services.monitoring.detectors",
    "control": "services.control",
}
"""Module to run, by part name."""


def service(name: str, port: int, instance: int = 1, **environment: str) -> Part:
    """Return an instance of a service, with its health port."""
    more = {"DRIFTLOOP_INSTANCE": str(instance), "DRIFTLOOP_KAFKA_INSTANCE": str(instance)} if instance > 1 else {}
    return Part(
        name if instance == 1 else f"{name}-{instance}",
        (sys.executable, "-m", SERVICES[name]),
        {"DRIFTLOOP_HEALTH_PORT": str(port), **more, **environment},
        f"http://127.0.0.1:{port}/ready",
    )


def mlflow(port: int, artifacts: str, database: str = "") -> Part:
    """Return MLflow's server. ``database``: address in its environment, which other accounts cannot read."""
    command = (
        sys.executable, "-m", "driftloop.ops.system.mlflow_server", "--port", str(port),
        "--artifacts-destination", artifacts,
    )  # fmt: skip
    environment = {
        "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": database,
    }
    return Part("mlflow", command, environment, f"http://127.0.0.1:{port}/health", kind="infrastructure")


def triton(settings: Settings, grpc: int, metrics: int) -> Part:
    """Return the Triton that ``settings.triton_name`` names, on these ports."""
    models = settings.triton / "models"
    models.mkdir(parents=True, exist_ok=True)
    environment = {
        "TRITON_MODEL_REPOSITORY": str(models),
        "TRITON_PYTHONPATH": str(ROOT),
        "TRITON_GRPC_PORT": str(grpc),
        "TRITON_METRICS_PORT": str(metrics),
    }
    if settings.triton_control_token:
        environment["TRITON_CONTROL_TOKEN"] = settings.triton_control_token
    else:
        environment["TRITON_CONTROL_TOKEN_FILE"] = str(settings.control_secret)
    name, url = settings.with_triton("triton"), f"grpc://127.0.0.1:{grpc}"
    return Part(name, script("triton/run.sh"), environment, url, kind="infrastructure")


def script(path: str) -> tuple[str, ...]:
    """Return the command that runs a script of infra/."""
    return ("/bin/bash", str(ROOT / "infra" / path))

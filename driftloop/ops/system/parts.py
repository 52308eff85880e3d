"""Every process of the embedded system, as data."""

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
    """http: answers 200 when the part is ready. grpc: answers gRPC's health check. Empty for Kafka."""
    kind: Literal["infrastructure", "service"] = "service"
    stop_timeout_s: float = 15.0

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


def parts(settings: Settings) -> list[Part]:
    """Return all processes of a system with these settings, infrastructure first."""
    infrastructure = [_kafka(settings), _triton(settings), _mlflow(settings)]
    if (ROOT / ".local" / "prometheus").exists():
        infrastructure.append(_prometheus(settings))
    return infrastructure + [_service(settings, name, module) for name, module in SERVICES.items()]


def _service(settings: Settings, name: str, module: str) -> Part:
    number = settings.port(f"{name.upper()}_PORT")
    return Part(
        name,
        (sys.executable, "-m", module),
        {"DRIFTLOOP_HEALTH_PORT": str(number)},
        f"http://127.0.0.1:{number}/ready",
    )


def _kafka(settings: Settings) -> Part:
    environment = {"KAFKA_DIR": str(settings.home / "kafka")}
    return Part("kafka", _script("kafka/run.sh"), environment, kind="infrastructure", stop_timeout_s=30)


def _triton(settings: Settings) -> Part:
    models = settings.triton / "models"
    models.mkdir(parents=True, exist_ok=True)
    environment = {
        "TRITON_MODEL_REPOSITORY": str(models),
        "TRITON_PYTHONPATH": str(ROOT),
    }
    if settings.triton_control_token:
        environment["TRITON_CONTROL_TOKEN"] = settings.triton_control_token
    else:
        environment["TRITON_CONTROL_TOKEN_FILE"] = str(settings.control_secret)
    url = f"grpc://{settings.local('TRITON_GRPC_PORT')}"
    return Part("triton", _script("triton/run.sh"), environment, url, kind="infrastructure")


def _mlflow(settings: Settings) -> Part:
    folder = settings.home / "mlflow"
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    command = (
        sys.executable, "-m", "driftloop.ops.system.mlflow_server", "--port", str(settings.port("MLFLOW_PORT")),
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination", str(folder / "artifacts"),
    )  # fmt: skip
    environment = {
        "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    return Part("mlflow", command, environment, f"http://{settings.local('MLFLOW_PORT')}/health", kind="infrastructure")


def _prometheus(settings: Settings) -> Part:
    environment = {"PROMETHEUS_DIR": str(settings.home / "prometheus")}
    url = f"http://{settings.local('PROMETHEUS_PORT')}/-/ready"
    return Part("prometheus", _script("prometheus/run.sh"), environment, url, kind="infrastructure")


def _script(path: str) -> tuple[str, ...]:
    return ("/bin/bash", str(ROOT / "infra" / path))

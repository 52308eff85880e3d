"""Every process of a system on this machine, as data."""

from __future__ import annotations

from driftloop.ops.system.cluster import parts as cluster
from driftloop.ops.system.part import SERVICES, Part, mlflow, script, service
from driftloop.process.settings import ROOT, Settings


def parts(settings: Settings) -> list[Part]:
    """Return all processes of a system with these settings, infrastructure first."""
    here = [_triton(settings), *([_prometheus(settings)] if (ROOT / ".local" / "prometheus").exists() else [])]
    if settings.cluster_dir:
        return [*cluster.infrastructure(settings), *here, *cluster.services(settings)]
    services = [service(name, settings.port(f"{name.upper()}_PORT")) for name in SERVICES]
    return [_kafka(settings), _mlflow(settings), *here, *services]


def _kafka(settings: Settings) -> Part:
    environment = {"KAFKA_DIR": str(settings.home / "kafka")}
    return Part("kafka", script("kafka/run.sh"), environment, kind="infrastructure", stop_timeout_s=30)


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
    return Part("triton", script("triton/run.sh"), environment, url, kind="infrastructure")


def _mlflow(settings: Settings) -> Part:
    folder = settings.home / "mlflow"
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    return mlflow(settings.port("MLFLOW_PORT"), str(folder / "artifacts"), f"sqlite:///{folder / 'mlflow.db'}")


def _prometheus(settings: Settings) -> Part:
    environment = {"PROMETHEUS_DIR": str(settings.home / "prometheus")}
    url = f"http://{settings.local('PROMETHEUS_PORT')}/-/ready"
    return Part("prometheus", script("prometheus/run.sh"), environment, url, kind="infrastructure")

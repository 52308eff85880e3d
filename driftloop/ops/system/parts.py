"""Every process of a system on this machine, as data."""

from __future__ import annotations

from driftloop.ops.system.cluster import parts as cluster
from driftloop.ops.system.part import SERVICES, Part, mlflow, script, service, triton
from driftloop.process.settings import ROOT, Settings


def parts(settings: Settings) -> list[Part]:
    """Return all processes of a system with these settings, infrastructure first."""
    prometheus = [_prometheus(settings)] if (ROOT / ".local" / "prometheus").exists() else []
    if settings.cluster_dir:
        return [*cluster.infrastructure(settings), *prometheus, *cluster.services(settings)]
    services = [service(name, settings.port(f"{name.upper()}_PORT")) for name in SERVICES]
    own_triton = triton(settings, settings.port("TRITON_GRPC_PORT"), settings.port("TRITON_METRICS_PORT"))
    return [_kafka(settings), _mlflow(settings), own_triton, *prometheus, *services]


def settings_of_tritons(settings: Settings) -> list[Settings]:
    """Return the settings that the agent of each Triton has: its name, addresses and folders."""
    return cluster.settings_of_tritons(settings) if settings.cluster_dir else [settings]


def _kafka(settings: Settings) -> Part:
    environment = {"KAFKA_DIR": str(settings.home / "kafka")}
    return Part("kafka", script("kafka/run.sh"), environment, kind="infrastructure", stop_timeout_s=30)


def _mlflow(settings: Settings) -> Part:
    folder = settings.home / "mlflow"
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    return mlflow(settings.port("MLFLOW_PORT"), str(folder / "artifacts"), f"sqlite:///{folder / 'mlflow.db'}")


def _prometheus(settings: Settings) -> Part:
    environment = {"PROMETHEUS_DIR": str(settings.home / "prometheus")}
    url = f"http://{settings.local('PROMETHEUS_PORT')}/-/ready"
    return Part("prometheus", script("prometheus/run.sh"), environment, url, kind="infrastructure")

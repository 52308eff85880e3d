"""Readiness, memory and metrics of the parts."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.ops.system.part import Part

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

_GRPC, _TCP = "grpc://", "tcp://"
_SERVING = b"\x08\x01"
"""The message `HealthCheckResponse` with the status SERVING."""


def ready(part: Part, kafka: KafkaSettings, timeout_s: float = 1.0) -> bool:
    """Return whether a part is ready."""
    if not part.health_url:
        return _kafka_answers(kafka, timeout_s)
    if part.health_url.startswith(_GRPC):
        return grpc_serves(part.health_url.removeprefix(_GRPC), timeout_s)
    if part.health_url.startswith(_TCP):
        return _accepts(part.health_url.removeprefix(_TCP), timeout_s)
    return _ready_answer(part, timeout_s)[0] == 200


def is_standby(part: Part, timeout_s: float = 1.0) -> bool:
    """Return whether a process of ours waits for another instance of its service to end."""
    if not part.health_url.startswith("http"):
        return False
    return b'"role": "standby"' in _ready_answer(part, timeout_s)[1]


def _ready_answer(part: Part, timeout_s: float) -> tuple[int, bytes]:
    """Return status and body of a part's http address; 0 and no body if it does not answer."""
    try:
        with urllib.request.urlopen(part.health_url, timeout=timeout_s) as response:  # noqa: S310 - our own http address
            return response.status, response.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()
    except (urllib.error.URLError, OSError):
        return 0, b""


def read_metrics(part: Part, timeout_s: float = 1.0) -> list[Sample]:
    """Return the metrics of a process of ours; none if it does not answer."""
    from prometheus_client.parser import text_string_to_metric_families  # slow to import

    try:
        with urllib.request.urlopen(urljoin(part.health_url, "/metrics"), timeout=timeout_s) as response:  # noqa: S310
            text = response.read().decode()
    except (urllib.error.URLError, OSError):
        return []
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def grpc_serves(address: str, timeout_s: float) -> bool:
    """Return whether a server answers gRPC's health check with SERVING."""
    import grpc  # slow to import, and most commands do not need it

    # Channels to one address share their back-off unless they have pools of their own.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options) as channel:
        try:
            return bool(
                channel.unary_unary("/grpc.health.v1.Health/Check", None, None)(b"", timeout=timeout_s) == _SERVING
            )
        except grpc.RpcError:
            return False


def pss_mib(pids: Iterable[int]) -> float:
    """Return the proportional set size of processes and all their descendants, in MiB; ended ones count as 0."""
    return sum(_pss(process) for process in with_descendants(pids)) / 2**20


def with_descendants(pids: Iterable[int]) -> set[psutil.Process]:
    """Return processes with all their descendants."""
    processes: set[psutil.Process] = set()
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            processes |= {process, *process.children(recursive=True)}
    return processes


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _accepts(address: str, timeout_s: float) -> bool:
    """Return whether a server accepts a connection."""
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout_s):
            return True
    except OSError:
        return False


def _kafka_answers(kafka: KafkaSettings, timeout_s: float) -> bool:
    client = AdminClient(kafka.admin())
    try:
        return bool(client.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False

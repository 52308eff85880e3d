"""Readiness and memory of the parts."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable
from contextlib import suppress

import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.ops.system.parts import Part


def ready(part: Part, kafka_bootstrap: str, timeout_s: float = 1.0) -> bool:
    """Return whether a part is ready."""
    if not part.health_url:
        return _kafka_answers(kafka_bootstrap, timeout_s)
    try:
        with urllib.request.urlopen(part.health_url, timeout=timeout_s) as response:  # noqa: S310 - our own http address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
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


def _kafka_answers(bootstrap: str, timeout_s: float) -> bool:
    client = AdminClient(KafkaSettings(bootstrap).admin())
    try:
        return bool(client.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False

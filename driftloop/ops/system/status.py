"""Status of the system: its parts and its loops."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException

from driftloop import __version__
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.offsets import Offsets
from driftloop.events.event_log import LIFECYCLE, read_events
from driftloop.loop.topics import DETECTORS_GROUP
from driftloop.ops.system.conditions import Condition, read_conditions
from driftloop.ops.system.health import is_standby, pss_mib, ready
from driftloop.ops.system.part import SERVICES
from driftloop.ops.system.parts import parts
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.atomic_file import replace_file
from driftloop.process.errors import Retriable
from driftloop.process.settings import Settings
from driftloop.process.startup_errors import read_refused_loops
from driftloop.readmodel.loop_history import loop_states
from driftloop.readmodel.loops import LoopState


@dataclass(frozen=True)
class PartStatus:
    """Status of a part."""

    name: str
    state: str
    """What the supervisor says, or `standby` if another instance of the service works."""
    ready: bool
    pids: tuple[int, ...]
    pss_mib: float
    lag: int | None
    """Records that its consumer group has not committed yet; None if it has no group."""


@dataclass(frozen=True)
class Status:
    """Status of the system."""

    version: str
    parts: list[PartStatus]
    loops: list[LoopState]
    pss_mib: dict[str, float]
    """By part, and `total`."""
    ready_s: dict[str, float]
    """Seconds from the last `up` until each part was ready and each probe answered."""
    refused_loops: dict[str, list[str]] = field(default_factory=dict)
    """Loops that a part left out at its start, with the problems as ``file:line: what``."""
    conditions: list[Condition] = field(default_factory=list)
    """What an operator should know although no event tells it."""

    @property
    def healthy(self) -> bool:
        return bool(self.parts) and all(part.ready for part in self.parts)


def read_status(settings: Settings) -> Status:
    """Return the status of every part, and of every loop from one read of the lifecycle topics."""
    supervisor, kafka = Supervisor(settings), KafkaSettings.of(settings)
    running = {part.name: part for part in supervisor.running()} if supervisor.alive() else {}
    lags = consumer_lags(kafka) if running else {}
    known = {part.name: part for part in parts(settings) if part.name in running}
    statuses = [
        PartStatus(
            part.name,
            "standby" if is_standby(part) else running[part.name].status,
            ready(part, kafka),
            running[part.name].pids,
            round(pss_mib(running[part.name].pids), 1),
            lags.get(part.name),
        )
        for part in known.values()
    ]
    memory = {part.name: part.pss_mib for part in statuses}
    memory["total"] = round(sum(memory.values()), 1)
    loops = (
        loop_states(read_events(kafka, _TOPICS))
        if any(p.name.startswith("kafka") and p.ready for p in statuses)
        else []
    )
    refused = read_refused_loops(settings.home) if running else {}
    conditions = read_conditions(settings, known) if running else []
    return Status(__version__, statuses, loops, memory, read_ready_s(settings), refused, conditions)


_TOPICS = [*LIFECYCLE, "features.watermark-advanced.v1"]


def consumer_lags(kafka: KafkaSettings) -> dict[str, int]:
    """Return uncommitted records of the consumer group of each part; empty if the broker does not answer."""
    offsets = Offsets(kafka, timeout_s=2.0)
    try:
        present = set(offsets.groups())
        return {part: _lag(offsets, group) for part, group in _GROUPS.items() if group in present}
    except (Retriable, KafkaException):
        return {}


_GROUPS = {part: part for part in SERVICES} | {"detectors": DETECTORS_GROUP}
"""Consumer group of each part."""


def _lag(offsets: Offsets, group: str) -> int:
    committed = offsets.committed(group)
    return sum(max(0, end - committed[partition]) for partition, end in offsets.ends(committed).items())


def read_ready_s(settings: Settings) -> dict[str, float]:
    """Return what the last `up` measured; empty if it did not complete."""
    try:
        times: dict[str, float] = json.loads(_ready_file(settings).read_bytes())
    except (FileNotFoundError, ValueError):  # an incomplete file is one of an incomplete start
        return {}
    return times if isinstance(times, dict) else {}


def write_ready_s(settings: Settings, times: dict[str, float]) -> None:
    """Store the times that `up` measured."""
    replace_file(_ready_file(settings), json.dumps(times))


def forget_ready_s(settings: Settings) -> None:
    """Remove the times of the last `up`."""
    _ready_file(settings).unlink(missing_ok=True)


def _ready_file(settings: Settings) -> Path:
    return settings.home / "run" / "up.json"

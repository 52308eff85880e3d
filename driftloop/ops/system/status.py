"""How the system is: its parts, and what its loops are about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException

from driftloop import __version__
from driftloop.bus.offsets import Offsets
from driftloop.contracts.topics import declared
from driftloop.events.event_log import LIFECYCLE, read_events
from driftloop.ops.system.health import pss_mib, ready
from driftloop.ops.system.parts import parts
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.errors import Retriable
from driftloop.process.settings import Settings
from driftloop.readmodel.loops import LoopState, loop_states


@dataclass(frozen=True)
class PartStatus:
    """A part now."""

    name: str
    state: str
    ready: bool
    pids: tuple[int, ...]
    pss_mib: float
    lag: int | None
    """Records that its consumer group has not committed yet; None where it has no group."""


@dataclass(frozen=True)
class Status:
    """The system now."""

    version: str
    parts: list[PartStatus]
    loops: list[LoopState]
    pss_mib: dict[str, float]
    """By part, and `total`."""
    ready_s: dict[str, float]
    """Seconds from the last `up` until each part was ready and each probe answered."""

    @property
    def healthy(self) -> bool:
        """Whether every part is ready."""
        return bool(self.parts) and all(part.ready for part in self.parts)


def status(settings: Settings) -> Status:
    """Ask every part and read the lifecycle topics once."""
    supervisor = Supervisor(settings)
    running = {each.name: each for each in supervisor.running()} if supervisor.alive() else {}
    lags = consumer_lags(settings.kafka_bootstrap) if running else {}
    found = [
        PartStatus(
            part.name,
            running[part.name].status,
            ready(part, settings.kafka_bootstrap),
            running[part.name].pids,
            round(pss_mib(running[part.name].pids), 1),
            lags.get(part.name),
        )
        for part in parts(settings)
        if part.name in running
    ]
    memory = {part.name: part.pss_mib for part in found}
    memory["total"] = round(sum(memory.values()), 1)
    loops = (
        loop_states(read_events(settings.kafka_bootstrap, _TOPICS))
        if any(p.name == "kafka" and p.ready for p in found)
        else []
    )
    return Status(__version__, found, loops, memory, read_ready_s(settings))


_TOPICS = [*LIFECYCLE, "features.watermark-advanced.v1"]


def consumer_lags(bootstrap: str) -> dict[str, int]:
    """Records not committed yet, by consumer group; empty where the broker does not answer."""
    offsets = Offsets(bootstrap, timeout_s=2.0)
    try:
        return {group: _lag(offsets, group) for group in offsets.groups() if group in _GROUPS}
    except (Retriable, KafkaException):
        return {}


_GROUPS = frozenset(owner for each in declared().values() for owner in (each.owner, *each.consumers)) | {"detectors"}


def _lag(offsets: Offsets, group: str) -> int:
    committed = offsets.committed(group)
    return sum(max(0, end - committed[place]) for place, end in offsets.ends(committed).items())


def read_ready_s(settings: Settings) -> dict[str, float]:
    """What the last `up` measured; empty where it has not come to its end."""
    path = _measured(settings)
    found: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return found


def write_ready_s(settings: Settings, times: dict[str, float]) -> None:
    """Keep what `up` measured."""
    path = _measured(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(times))


def forget_ready_s(settings: Settings) -> None:
    """Another start begins."""
    _measured(settings).unlink(missing_ok=True)


def _measured(settings: Settings) -> Path:
    return settings.home / "run" / "up.json"

"""How the system is: its parts, and what its loops are about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from google.protobuf.message import Message

from driftloop import __version__
from driftloop.bus.offsets import Offsets
from driftloop.config import Settings
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import features_pb2 as features
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts.topics import declared
from driftloop.envelope import Envelope, rfc3339
from driftloop.errors import Retriable
from driftloop.history import LIFECYCLE, read_events
from driftloop.openness import Openness
from driftloop.system.health import pss_mib, ready
from driftloop.system.parts import parts
from driftloop.system.supervisor import Supervisor

_ENDED = ("champion", "rejected", "retired", "rolled-back")


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


@dataclass
class LoopStatus:
    """A loop, as its events tell."""

    loop: str
    champion: str = ""
    epoch: int = 0
    release: str = ""
    """Open release, in `stage`."""
    stage: str = ""
    verdict: str = ""
    watermark: str = ""
    open: list[str] = field(default_factory=list)
    """What still owes an answer."""


@dataclass(frozen=True)
class Status:
    """The system now."""

    version: str
    parts: list[PartStatus]
    loops: list[LoopStatus]
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
        loop_statuses(read_events(settings.kafka_bootstrap, _TOPICS))
        if any(p.name == "kafka" and p.ready for p in found)
        else []
    )
    return Status(__version__, found, loops, memory, read_ready_s(settings))


_TOPICS = [*LIFECYCLE, "features.watermark-advanced.v1"]


def loop_statuses(events: Iterable[Envelope[Any]]) -> list[LoopStatus]:
    """What each loop's events say, in the order of their publication."""
    loops: dict[str, LoopStatus] = {}
    openness: dict[str, Openness] = {}
    for event in events:
        loop = loops.setdefault(event.loop, LoopStatus(event.loop))
        openness.setdefault(event.loop, Openness(event.loop)).see(event)
        _note(loop, event.data)
    for name, loop in loops.items():
        loop.open = openness[name].open()
    return sorted(loops.values(), key=lambda loop: loop.loop)


def _note(loop: LoopStatus, data: Any) -> None:
    noter = _NOTES.get(type(data))
    if noter is not None:
        noter(loop, data)


def _promoted(loop: LoopStatus, data: registry.ChampionPromoted) -> None:
    loop.champion = data.release_id


def _rolled_back(loop: LoopStatus, data: registry.ReleaseRolledBack) -> None:
    loop.champion = data.to_release_id or loop.champion


def _routed(loop: LoopStatus, data: registry.RouteChanged) -> None:
    loop.epoch = max(loop.epoch, data.epoch)


def _entered(loop: LoopStatus, data: registry.StageEntered) -> None:
    open_now = data.stage not in _ENDED
    if open_now or data.release_id == loop.release:
        loop.release, loop.stage = (data.release_id, data.stage) if open_now else ("", "")


def _rejected(loop: LoopStatus, data: registry.ReleaseRejected) -> None:
    if data.release_id == loop.release:
        loop.release, loop.stage = "", ""


def _judged(loop: LoopStatus, data: evaluation.VerdictReached) -> None:
    loop.verdict = verdict_line(data)


def _advanced(loop: LoopStatus, data: features.WatermarkAdvanced) -> None:
    loop.watermark = max(loop.watermark, rfc3339(data.watermark_ms))


_NOTES: dict[type[Message], Callable[[LoopStatus, Any], None]] = {
    registry.ChampionPromoted: _promoted,
    registry.ReleaseRolledBack: _rolled_back,
    registry.RouteChanged: _routed,
    registry.StageEntered: _entered,
    registry.ReleaseRejected: _rejected,
    evaluation.VerdictReached: _judged,
    features.WatermarkAdvanced: _advanced,
}


def verdict_line(verdict: evaluation.VerdictReached) -> str:
    """A verdict in one line: stage, outcome, gain with interval, blocks."""
    outcome = evaluation.Outcome.Name(verdict.outcome).lower().replace("_", " ")
    found = verdict.interval
    numbers = (
        f" {found.estimate:+.4f} [{found.lower:+.4f}, {found.upper:+.4f}] over {found.blocks} blocks"
        if found.blocks
        else ""
    )
    return f"{verdict.stage}: {outcome}{numbers}"


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

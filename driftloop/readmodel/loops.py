"""Each loop as its events tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import features_pb2 as features
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope, rfc3339
from driftloop.readmodel.event_text import text_of, verdict_line
from driftloop.readmodel.pending_work import PendingWork

ENDED = ("champion", "rejected", "retired", "rolled-back")
"""Stages in which a release is not open."""


@dataclass(frozen=True)
class Waiting:
    """A release that waits for a person."""

    release: str
    to_stage: str
    deadline_ms: int
    """Event time."""
    event_id: str


@dataclass
class LoopState:
    """A loop now."""

    loop: str
    champion: str = ""
    champion_since_ms: int | None = None
    """Event time."""
    former: list[str] = field(default_factory=list)
    """Champions that a rollback may bring back, oldest first."""
    epoch: int = 0
    converged_epoch: int = 0
    """Newest epoch that the router was seen to answer by."""
    release: str = ""
    """Open release, in `stage`."""
    stage: str = ""
    share: float = 0.0
    """Of keys that the open release answers."""
    waiting: Waiting | None = None
    paused: bool = False
    verdict: str = ""
    alarm: str = ""
    alarm_ms: int | None = None
    time_ms: int = 0
    """Newest event time of any event."""
    watermark: str = ""
    """Event time up to which features are right; empty where those events were not given."""
    open: list[str] = field(default_factory=list)
    """What still owes an answer."""
    untrained: str = ""
    """Reason for which nothing was trained, as there is no trainer: first-champion, drift or command; empty again once
    something else became champion, or is trained."""
    chains: dict[str, str] = field(default_factory=dict)
    """Correlation id of each release."""


def loop_states(events: Iterable[Envelope[Any]]) -> list[LoopState]:
    """What the events say of each loop. They come in the order of `driftloop.readmodel.order`."""
    loops: dict[str, LoopState] = {}
    pending_work: dict[str, PendingWork] = {}
    for event in events:
        loop = loops.setdefault(event.loop, LoopState(event.loop))
        pending_work.setdefault(event.loop, PendingWork(event.loop)).see(event)
        loop.time_ms = max(loop.time_ms, event.time_ms)
        note = _NOTES.get(type(event.data))
        if note is not None:
            note(loop, event)
    for name, loop in loops.items():
        loop.open = pending_work[name].open()
    return sorted(loops.values(), key=lambda loop: loop.loop)


def _created(loop: LoopState, event: Envelope[registry.ReleaseCreated]) -> None:
    loop.chains[event.data.release.release_id] = event.correlation_id


def _promoted(loop: LoopState, event: Envelope[registry.ChampionPromoted]) -> None:
    if event.data.previous_release_id:
        loop.former.append(event.data.previous_release_id)
    loop.champion, loop.champion_since_ms, loop.untrained = event.data.release_id, event.time_ms, ""


def _rolled_back(loop: LoopState, event: Envelope[registry.ReleaseRolledBack]) -> None:
    if event.data.from_stage != "champion":
        return
    loop.champion, loop.champion_since_ms = event.data.to_release_id, event.time_ms
    loop.former = [each for each in loop.former if each != event.data.to_release_id]


def _routed(loop: LoopState, event: Envelope[registry.RouteChanged]) -> None:
    loop.epoch = max(loop.epoch, event.data.epoch)


def _converged(loop: LoopState, event: Envelope[serving.RouteConverged]) -> None:
    loop.converged_epoch = max(loop.converged_epoch, event.data.epoch)


def _entered(loop: LoopState, event: Envelope[registry.StageEntered]) -> None:
    data = event.data
    loop.epoch = max(loop.epoch, data.epoch)
    open_now = data.stage not in ENDED
    if open_now or data.release_id == loop.release:
        loop.release, loop.stage = (data.release_id, data.stage) if open_now else ("", "")
        loop.share, loop.waiting = (data.share if open_now else 0.0), None


def _rejected(loop: LoopState, event: Envelope[registry.ReleaseRejected]) -> None:
    if event.data.release_id == loop.release:
        loop.release, loop.stage, loop.share, loop.waiting = "", "", 0.0, None


def _asked(loop: LoopState, event: Envelope[registry.ApprovalRequested]) -> None:
    data = event.data
    if data.release_id == loop.release:
        loop.waiting = Waiting(data.release_id, data.to_stage, data.deadline_ms, event.id)


def _judged(loop: LoopState, event: Envelope[evaluation.VerdictReached]) -> None:
    loop.verdict = verdict_line(event.data)


def _alarmed(loop: LoopState, event: Envelope[monitoring.DriftDetected]) -> None:
    data = event.data
    if data.mode == "trigger":
        loop.alarm = text_of(data, "summary")
        loop.alarm_ms = event.time_ms


def _coalesced(loop: LoopState, event: Envelope[training.ReasonCoalesced]) -> None:
    if event.data.because == "no-trainer":
        loop.untrained = event.data.reason.kind


def _requested(loop: LoopState, event: Envelope[training.RetrainRequested]) -> None:
    if not event.data.HasField("model"):
        loop.untrained = ""


def _paused(loop: LoopState, _event: Envelope[control.Pause]) -> None:
    loop.paused = True


def _resumed(loop: LoopState, _event: Envelope[control.Resume]) -> None:
    loop.paused = False


def _advanced(loop: LoopState, event: Envelope[features.WatermarkAdvanced]) -> None:
    loop.watermark = max(loop.watermark, rfc3339(event.data.watermark_ms))


_NOTES: dict[type[Message], Callable[[LoopState, Any], None]] = {
    registry.ReleaseCreated: _created,
    registry.ChampionPromoted: _promoted,
    registry.ReleaseRolledBack: _rolled_back,
    registry.RouteChanged: _routed,
    registry.StageEntered: _entered,
    registry.ReleaseRejected: _rejected,
    registry.ApprovalRequested: _asked,
    serving.RouteConverged: _converged,
    evaluation.VerdictReached: _judged,
    monitoring.DriftDetected: _alarmed,
    training.ReasonCoalesced: _coalesced,
    training.RetrainRequested: _requested,
    control.Pause: _paused,
    control.Resume: _resumed,
    features.WatermarkAdvanced: _advanced,
}

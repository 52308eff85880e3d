"""What became of each release."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope


@dataclass(frozen=True)
class StageAt:
    """A stage that a release entered."""

    stage: str
    share: float
    """Of keys answered by it."""
    epoch: int
    since_ms: int
    """Event time."""
    because: str
    event_id: str


@dataclass
class ReleaseState:
    """A release, or a candidate that never became one."""

    release_id: str
    loop: str
    run_id: str = ""
    request_id: str = ""
    bundle_uri: str = ""
    bundle_digest: str = ""
    correlation_id: str = ""
    stages: list[StageAt] = field(default_factory=list)
    verdicts: list[Envelope[evaluation.VerdictReached]] = field(default_factory=list)
    trained: Envelope[training.CandidateTrained] | None = None
    """The run's result."""
    ended_because: str = ""

    @property
    def stage(self) -> str:
        """The newest; `candidate` before any."""
        return self.stages[-1].stage if self.stages else "candidate"


def release_states(events: Iterable[Envelope[Any]]) -> list[ReleaseState]:
    """Every release that the events name, in the order of its first mention."""
    found: dict[str, ReleaseState] = {}
    runs: dict[str, Envelope[training.CandidateTrained]] = {}
    for event in events:
        if isinstance(event.data, training.CandidateTrained):
            runs[event.data.run_id] = event
        elif isinstance(event.data, registry.ReleaseCreated):
            _created(_release(found, event.data.release.release_id, event), event)
        elif (note := _NOTES.get(type(event.data))) is not None:
            note(_release(found, event.data.release_id, event), event)
    for release in found.values():
        release.trained = runs.get(release.run_id)
    return list(found.values())


def _release(found: dict[str, ReleaseState], release_id: str, event: Envelope[Any]) -> ReleaseState:
    return found.setdefault(release_id, ReleaseState(release_id, event.loop, correlation_id=event.correlation_id))


def _judged(release: ReleaseState, event: Envelope[evaluation.VerdictReached]) -> None:
    release.verdicts.append(event)
    if event.data.run_id:
        release.run_id, release.request_id = event.data.run_id, event.data.request_id
        release.bundle_uri, release.bundle_digest = event.data.bundle.uri, event.data.bundle.digest


def _created(release: ReleaseState, event: Envelope[registry.ReleaseCreated]) -> None:
    data = event.data
    release.run_id, release.request_id = data.run_id, data.request_id
    release.bundle_uri, release.bundle_digest = data.release.bundle.uri, data.release.bundle.digest


def _entered(release: ReleaseState, event: Envelope[registry.StageEntered]) -> None:
    data = event.data
    release.stages.append(StageAt(data.stage, data.share, data.epoch, event.time_ms, data.reason, event.id))
    release.stages.sort(key=lambda each: each.epoch)


def _rejected(release: ReleaseState, event: Envelope[registry.ReleaseRejected]) -> None:
    data = event.data
    release.ended_because = data.reason
    if not release.stages:  # refused offline: it never entered a stage
        release.stages.append(StageAt("rejected", 0.0, 0, event.time_ms, data.reason, event.id))


def _taken_back(release: ReleaseState, event: Envelope[registry.ReleaseRolledBack]) -> None:
    release.ended_because = event.data.reason


_NOTES: dict[type[Message], Callable[[ReleaseState, Any], None]] = {
    evaluation.VerdictReached: _judged,
    registry.StageEntered: _entered,
    registry.ReleaseRejected: _rejected,
    registry.ReleaseRolledBack: _taken_back,
}

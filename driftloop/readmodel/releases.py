"""The stages and verdicts of a release."""

from __future__ import annotations

from dataclasses import dataclass

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope


@dataclass(frozen=True)
class StageAt:
    """A stage that a release entered."""

    stage: str
    share: float
    """Share of keys that the release answers."""
    epoch: int
    since_ms: int
    """Event time."""
    because: str
    event_id: str


@dataclass
class ReleaseState:
    """A release, or a candidate that never became one. `loop_history.LoopHistory` computes it."""

    release_id: str
    loop: str
    run_id: str = ""
    request_id: str = ""
    bundle_uri: str = ""
    bundle_digest: str = ""
    correlation_id: str = ""
    stages: tuple[StageAt, ...] = ()
    """By epoch."""
    verdicts: tuple[Envelope[evaluation.VerdictReached], ...] = ()
    trained: Envelope[training.CandidateTrained] | None = None
    """The result of the run."""
    ended_because: str = ""

    @property
    def stage(self) -> str:
        """Return the newest stage; `candidate` before the first."""
        return self.stages[-1].stage if self.stages else "candidate"

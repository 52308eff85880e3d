"""State and answers of the retrain controller."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from driftloop.events import ids

Kind = Literal["import", "command", "drift", "schedule", "first-champion"]
Because = Literal["run-open", "release-open", "paused", "breaker", "cooldown", "no-window", "no-trainer", "superseded"]

STRENGTH: tuple[Kind, ...] = ("import", "command", "drift", "schedule", "first-champion")
"""Kinds, strongest first. The strongest reason of a request decides the length of its window."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a model should be trained. ``event_time_ms`` is UTC milliseconds since the epoch."""

    kind: Kind
    event_id: str
    """The event that gave the reason."""
    event_time_ms: int
    detail: str
    chain: str = ""
    """Chain that the reason opened; empty if the request opens its own."""
    release_id: str = ""
    """Drift only: the champion that the alarm is about."""
    evidence: tuple[str, ...] = ()
    model: str = ""
    """Import only: the model, as hex of a `driftloop.control.v1.ImportedModel`."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The progress of a request."""

    request_id: str
    run_id: str
    release_id: str
    phase: Literal["run-open", "release-open"] = "run-open"
    stage: str = ""
    """The newest rollout stage of the release."""
    imported: bool = False
    """Whether its model was imported, so that its answer does not count for the trainer."""

    @property
    def blocks_by(self) -> str:
        """Return the id of what blocks another request."""
        return self.request_id if self.phase == "run-open" else self.release_id


_STORED_FAILURES = "in_vain"
"""Key of ``consecutive_failures`` in stored states, kept so that states of earlier versions load."""


@dataclass(frozen=True, slots=True)
class RetrainState:
    """The controller's view of a loop. Times are UTC milliseconds since the epoch."""

    loop: str
    started_ms: int | None = None
    """Start of the loop's first window."""
    clock_ms: int | None = None
    """End of the newest window: the controller's only clock."""
    champion: str = ""
    champion_epoch: int = 0
    """Epoch from which it is the champion; 0 in states of earlier versions."""
    former: tuple[str, ...] = ()
    """Releases that were champion."""
    paused: bool = False
    paused_wall_ms: int = 0
    """Wall time of the newest pause or resume; 0 in states of earlier versions."""
    chain: Chain | None = None
    kept: tuple[Reason, ...] = ()
    requests: int = 0
    consecutive_failures: int = 0
    """Consecutive chains that ended in a failure of the trainer; others without a promotion are skipped."""
    ended_ms: int | None = None
    """Event time at which the last chain ended."""
    undecided: bool = False
    """Whether it ended without a promotion and without a failure of the trainer."""
    periods: int = 0
    """Number of completed periods of the schedule."""
    answered: tuple[str, ...] = ()
    """Newest reasons that have an answer, as `kind:event id`."""

    def to_json(self) -> str:
        data = asdict(self)
        data[_STORED_FAILURES] = data.pop("consecutive_failures")
        return json.dumps(data, sort_keys=True)


def parse_state(text: str) -> RetrainState:
    """Read the text of `RetrainState.to_json`."""
    data = json.loads(text)
    data["consecutive_failures"] = data.pop(_STORED_FAILURES)
    chain = Chain(**data.pop("chain")) if data["chain"] else data.pop("chain")
    kept = tuple(Reason(**{**fields, "evidence": tuple(fields["evidence"])}) for fields in data.pop("kept"))
    former, answered = tuple(data.pop("former")), tuple(data.pop("answered"))
    return RetrainState(**data, former=former, answered=answered, chain=chain, kept=kept)


@dataclass(frozen=True, slots=True)
class Coalesced:
    """The reason waits, or is dropped if ``because`` is `superseded`."""

    reason: Reason
    because: Because
    blocked_by: str = ""


@dataclass(frozen=True, slots=True)
class Requested:
    """A request for a run over data in ``[window_start_ms, window_end_ms)``."""

    chain: Chain
    reasons: tuple[Reason, ...]
    window_start_ms: int
    window_end_ms: int
    seed: int
    failures: int
    """Consecutive failures of the trainer before it."""
    breaker: int
    """Number of failures at which the breaker opens."""

    @property
    def evidence(self) -> tuple[str, ...]:
        """Return the distinct events that the request rests on."""
        return tuple(dict.fromkeys(name for reason in self.reasons for name in (reason.event_id, *reason.evidence)))

    @property
    def model(self) -> str:
        """Return `Reason.model`; empty if a model is to be trained."""
        return self.reasons[0].model

    @property
    def correlation_id(self) -> str:
        """Return the chain of the oldest reason that opened one, or an empty string."""
        return next((reason.chain for reason in self.reasons if reason.chain), "")


Answer = Coalesced | Requested


def chain_of(loop: str, reasons: tuple[Reason, ...]) -> Chain:
    """Return the chain that a request opens. All its ids derive from the reasons."""
    request_id = ids.short_id("request", loop, *(reason.event_id for reason in reasons))
    run_id = ids.short_id("run", loop, request_id)
    imported = reasons[0].kind == "import"
    return Chain(request_id, run_id, ids.short_id("r", loop, run_id), imported=imported)

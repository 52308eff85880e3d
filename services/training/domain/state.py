"""What the retrain controller remembers of a loop, and what it says."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from driftloop.events import ids

Kind = Literal["import", "command", "drift", "schedule", "first-champion"]
Because = Literal["run-open", "release-open", "paused", "breaker", "cooldown", "no-window", "no-trainer", "superseded"]

STRENGTH: tuple[Kind, ...] = ("import", "command", "drift", "schedule", "first-champion")
"""Strongest first: the strongest reason of a request decides how much data it trains on."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a model should be trained. ``event_time_ms`` is UTC milliseconds since the epoch."""

    kind: Kind
    event_id: str
    """The event that gave the reason."""
    event_time_ms: int
    detail: str
    chain: str = ""
    """Chain that the reason opened; empty where the request opens one of its own."""
    release_id: str = ""
    """Drift only: the champion that the alarm is about."""
    evidence: tuple[str, ...] = ()
    model: str = ""
    """Import only: the model that came, as a `driftloop.control.v1.ImportedModel`'s bytes in hex."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What a request has become so far."""

    request_id: str
    run_id: str
    release_id: str
    phase: Literal["run-open", "release-open"] = "run-open"
    stage: str = ""
    """Stage of the rollout that the release entered last."""
    imported: bool = False
    """Its model was brought by a person: what becomes of it says nothing about the trainer."""

    @property
    def blocks_by(self) -> str:
        """Id of what blocks another request."""
        return self.request_id if self.phase == "run-open" else self.release_id


_STORED_FAILURES = "in_vain"
"""Key of ``consecutive_failures`` in stored states, kept so that states of earlier versions load."""


@dataclass(frozen=True, slots=True)
class LoopState:
    """A loop as the controller sees it. Times are UTC milliseconds since the epoch."""

    loop: str
    started_ms: int | None = None
    """Start of the loop's first window."""
    clock_ms: int | None = None
    """End of the newest window: the controller's only clock."""
    champion: str = ""
    former: tuple[str, ...] = ()
    """Releases that were champion once."""
    paused: bool = False
    chain: Chain | None = None
    kept: tuple[Reason, ...] = ()
    requests: int = 0
    consecutive_failures: int = 0
    """Chains in a row that ended without a promotion."""
    ended_ms: int | None = None
    """Event time at which the last chain ended."""
    periods: int = 0
    """Whole periods of the schedule that have gone by."""
    answered: tuple[str, ...] = ()
    """Newest reasons that had their answer, as `kind:event id`."""

    def to_json(self) -> str:
        """Return the state as text for a row."""
        data = asdict(self)
        data[_STORED_FAILURES] = data.pop("consecutive_failures")
        return json.dumps(data, sort_keys=True)


def parse_state(text: str) -> LoopState:
    """Read the text of `LoopState.to_json`."""
    data = json.loads(text)
    data["consecutive_failures"] = data.pop(_STORED_FAILURES)
    chain = Chain(**data.pop("chain")) if data["chain"] else data.pop("chain")
    kept = tuple(Reason(**{**each, "evidence": tuple(each["evidence"])}) for each in data.pop("kept"))
    former, answered = tuple(data.pop("former")), tuple(data.pop("answered"))
    return LoopState(**data, former=former, answered=answered, chain=chain, kept=kept)


@dataclass(frozen=True, slots=True)
class Coalesced:
    """The reason waits, or was dropped where ``because`` is `superseded`."""

    reason: Reason
    because: Because
    blocked_by: str = ""


@dataclass(frozen=True, slots=True)
class Requested:
    """A run is asked for; its data is ``[window_start_ms, window_end_ms)``."""

    chain: Chain
    reasons: tuple[Reason, ...]
    window_start_ms: int
    window_end_ms: int
    seed: int

    @property
    def evidence(self) -> tuple[str, ...]:
        """Events that the request rests on, each once."""
        every = [each for reason in self.reasons for each in (reason.event_id, *reason.evidence)]
        return tuple(dict.fromkeys(every))

    @property
    def model(self) -> str:
        """The model that came, as `Reason.model`; empty where one is trained."""
        return self.reasons[0].model

    @property
    def correlation_id(self) -> str:
        """The chain of the oldest reason that opened one, or the empty string."""
        return next((reason.chain for reason in self.reasons if reason.chain), "")


Outcome = Coalesced | Requested


def chain_of(loop: str, reasons: tuple[Reason, ...]) -> Chain:
    """The chain that a request opens: all its ids follow from the reasons."""
    request_id = ids.short_id("request", loop, *(reason.event_id for reason in reasons))
    run_id = ids.short_id("run", loop, request_id)
    imported = reasons[0].kind == "import"
    return Chain(request_id, run_id, ids.short_id("r", loop, run_id), imported=imported)

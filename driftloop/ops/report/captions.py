"""A few words for each event of a chain. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.readmodel.event_text import day
from driftloop.readmodel.loops import outcome_words

_LONGEST = 45


@dataclass(frozen=True)
class Caption:
    """What stands in a box."""

    title: str
    detail: str
    at: str
    """Event time."""


def caption(event: Envelope[Any]) -> Caption:
    """Words for an event; one that has none of its own is called by its type."""
    words = _WORDS.get(type(event.data), _unnamed)
    title, detail = words(event.data)
    return Caption(title, detail if len(detail) <= _LONGEST else f"{detail[: _LONGEST - 1]}…", day(event.time_ms)[:10])


Words = tuple[str, str]


def _unnamed(data: Any) -> Words:
    return data.DESCRIPTOR.name, ""


def _drift(data: monitoring.DriftDetected) -> Words:
    return f"alarm: {data.detector}", f"{data.statistic:.2f} above {data.threshold:g} over {data.blocks} blocks"


def _coalesced(data: training.ReasonCoalesced) -> Words:
    return "reason dropped" if data.because == "superseded" else "reason kept", data.because


def _requested(data: training.RetrainRequested) -> Words:
    kinds = ", ".join(dict.fromkeys(reason.kind for reason in data.reasons))
    what = "run asked for" if data.HasField("model") else "retrain asked for"
    return f"{what}: {kinds}", f"data {day(data.window_start_ms)[:10]} to {day(data.window_end_ms)[:10]}"


def _started(data: training.RunStarted) -> Words:
    return "run started", data.run_id


def _trained(data: training.CandidateTrained) -> Words:
    if any(reason.kind == "import" for reason in data.reasons):
        return "imported model packed", f"judged on {int(data.metrics.get('rows', 0)):,} rows"
    return "candidate trained", f"{data.training_rows:,} rows in {data.duration_s:.1f} s"


def _failed(data: training.RunFailed) -> Words:
    return "run failed", data.reason


def _verdict(data: evaluation.VerdictReached) -> Words:
    found = data.interval
    gain = f"gain {found.estimate:+.4f} [{found.lower:+.4f}, {found.upper:+.4f}]" if found.blocks else "no interval"
    return f"{data.stage} verdict: {outcome_words(data.outcome)}", gain


def _created(data: registry.ReleaseCreated) -> Words:
    return "release created", data.release.release_id


def _stage(data: registry.StageEntered) -> Words:
    return f"enters {data.stage}", f"answers {data.share:.0%} of keys" if data.share else "scores all, answers nobody"


def _asked(data: registry.ApprovalRequested) -> Words:
    return "approval asked for", f"to enter {data.to_stage}"


def _promoted(data: registry.ChampionPromoted) -> Words:
    before = f"in place of {data.previous_release_id}" if data.previous_release_id else "the first champion"
    return f"promoted: {data.release_id}", before


def _rejected(data: registry.ReleaseRejected) -> Words:
    return f"rejected in {data.stage}", data.reason.split("; ")[0]


def _rolled_back(data: registry.ReleaseRolledBack) -> Words:
    return f"rolled back from {data.from_stage}", data.reason.split("; ")[0]


def _converged(data: serving.RouteConverged) -> Words:
    if data.challenger_release_id:
        return f"route {data.epoch} answers", f"{data.champion_release_id}, challenger {data.challenger_release_id}"
    return f"route {data.epoch} answers", f"champion {data.champion_release_id}"


def _route_failed(data: serving.RouteFailed) -> Words:
    return f"route {data.epoch} failed", data.reason


def _command(data: Any) -> Words:
    return f"{data.who or 'somebody'}: {data.DESCRIPTOR.name.lower()}", data.why


_WORDS: dict[type[Any], Callable[[Any], Words]] = {
    monitoring.DriftDetected: _drift,
    training.ReasonCoalesced: _coalesced,
    training.RetrainRequested: _requested,
    training.RunStarted: _started,
    training.CandidateTrained: _trained,
    training.RunFailed: _failed,
    evaluation.VerdictReached: _verdict,
    registry.ReleaseCreated: _created,
    registry.StageEntered: _stage,
    registry.ApprovalRequested: _asked,
    registry.ChampionPromoted: _promoted,
    registry.ReleaseRejected: _rejected,
    registry.ReleaseRolledBack: _rolled_back,
    serving.RouteConverged: _converged,
    serving.RouteFailed: _route_failed,
    **dict.fromkeys((control.Approve, control.Reject, control.Rollback, control.Retrain, control.Import), _command),
}

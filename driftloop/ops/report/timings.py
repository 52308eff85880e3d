"""Wall-clock times between lifecycle events. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.readmodel.attempts import of_kind


def alarm_to_serving(path: Sequence[Envelope[Any]], events: Sequence[Envelope[Any]]) -> dict[str, float]:
    """Seconds from an alarm to its release answering as champion, in three parts.

    ``path`` is the causal chain from alarm to promotion. *training*: from the request to the candidate. *stages*: from
    each entry of a stage to the window that decided it, while evidence was filling. *reaction*: all the rest, which is
    the system's own time.
    """
    if not path:
        return {}
    alarm, promoted = path[0], path[-1]
    served = next(
        event
        for event in events
        if isinstance(event.data, serving.RouteConverged)
        and event.loop == alarm.loop
        and event.data.epoch >= promoted.data.epoch
    )
    total = (served.wall_time_ms - alarm.wall_time_ms) / 1000
    in_training, in_stages = _training_s(path), _stages_s(path, events)
    return {"total": total, "training": in_training, "stages": in_stages, "reaction": total - in_training - in_stages}


def training_s(events: Sequence[Envelope[Any]]) -> list[float]:
    """Return the duration in seconds of every run that produced a candidate."""
    return [event.data.duration_s for event in of_kind(events, training.CandidateTrained)]


def _training_s(path: Sequence[Envelope[Any]]) -> float:
    request = next(iter(of_kind(path, training.RetrainRequested)), None)
    trained = next(iter(of_kind(path, training.CandidateTrained)), None)
    return (trained.wall_time_ms - request.wall_time_ms) / 1000 if request and trained else 0.0


def _stages_s(path: Sequence[Envelope[Any]], events: Sequence[Envelope[Any]]) -> float:
    """Each stage fills from its entry to the closing of the window that its decisive verdict came from."""
    closed = {event.data.end_ms: event for event in of_kind(events, monitoring.WindowClosed)}
    entries = [
        e for e in events if isinstance(e.data, registry.StageEntered) and e.correlation_id == path[-1].correlation_id
    ]
    total = 0.0
    for verdict in (e for e in events if isinstance(e.data, evaluation.VerdictReached) and _decides(e, path)):
        entry = next((e for e in entries if e.data.stage == verdict.data.stage), None)
        window = closed.get(verdict.data.window_end_ms)
        if entry is not None and window is not None:
            total += max(0.0, (window.wall_time_ms - entry.wall_time_ms) / 1000)
    return total


def _decides(verdict: Envelope[Any], path: Sequence[Envelope[Any]]) -> bool:
    promoted = path[-1].data
    return bool(
        verdict.data.release_id == promoted.release_id
        and verdict.data.stage != "offline"
        and verdict.data.outcome == evaluation.BETTER
    )

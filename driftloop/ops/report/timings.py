"""Wall-clock times between lifecycle events. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.readmodel.loop_history import LoopHistory

M = TypeVar("M", bound=Message)


def alarm_to_serving(path: Sequence[Envelope[Any]], history: LoopHistory) -> dict[str, float]:
    """Return the seconds from an alarm until its release served as champion, in total and in three parts.

    ``path`` is the causal chain from alarm to promotion. *training*: from the request to the candidate. *stages*: from
    each entry of a stage to the window that decided it, while it collected evidence. *reaction*: the rest, which is the
    system's own time.
    """
    if not path:
        return {}
    alarm, promoted = path[0], path[-1]
    routes = history.of_kind(serving.RouteConverged)
    served = next(event for event in routes if event.data.epoch >= promoted.data.epoch)
    total = (served.wall_time_ms - alarm.wall_time_ms) / 1000
    in_training, in_stages = _training_s(path), _stages_s(promoted, history)
    return {"total": total, "training": in_training, "stages": in_stages, "reaction": total - in_training - in_stages}


def training_s(history: LoopHistory) -> list[float]:
    """Return the duration in seconds of every run that produced a candidate."""
    return [event.data.duration_s for event in history.of_kind(training.CandidateTrained)]


def _training_s(path: Sequence[Envelope[Any]]) -> float:
    request = next(iter(_of_kind(path, training.RetrainRequested)), None)
    trained = next(iter(_of_kind(path, training.CandidateTrained)), None)
    return (trained.wall_time_ms - request.wall_time_ms) / 1000 if request and trained else 0.0


def _of_kind(events: Sequence[Envelope[Any]], kind: type[M]) -> list[Envelope[M]]:
    return [event for event in events if isinstance(event.data, kind)]


def _stages_s(promoted: Envelope[registry.ChampionPromoted], history: LoopHistory) -> float:
    """Return the time from the entry of each stage to the close of the window of its decisive verdict."""
    closed = {event.data.end_ms: event for event in history.of_kind(monitoring.WindowClosed)}
    entries = _of_kind(history.chains[promoted.correlation_id], registry.StageEntered)
    total = 0.0
    release = history.releases.get(promoted.data.release_id)
    for verdict in release.verdicts if release else ():
        entry = next((event for event in entries if event.data.stage == verdict.data.stage), None)
        window = closed.get(verdict.data.window_end_ms)
        decides = verdict.data.stage != "offline" and verdict.data.outcome == evaluation.BETTER
        if decides and entry is not None and window is not None:
            total += max(0.0, (window.wall_time_ms - entry.wall_time_ms) / 1000)
    return total

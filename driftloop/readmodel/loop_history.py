"""The history of a loop: the one fold of its lifecycle events. Pure.

Status, releases, serving periods, attempts, incidents, lineage, KPIs, reports and pending work are queries over it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from google.protobuf.message import Message

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import features_pb2 as features
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope, rfc3339
from driftloop.events.release_end import ReleaseEnd, is_failure
from driftloop.readmodel.event_text import COMMANDS, text_of, verdict_line
from driftloop.readmodel.loops import ENDED, KeptReason, LoopState, SilentDetector, Waiting
from driftloop.readmodel.order import in_order
from driftloop.readmodel.pending_work import DECIDERS, PendingWork
from driftloop.readmodel.releases import ReleaseState, StageAt

M = TypeVar("M", bound=Message)
WINDOWS = (monitoring.WindowClosed, monitoring.WindowDecided)
_OFFLINE = "offline"


class LoopHistory:
    """What the lifecycle events of one loop say. `apply` adds an event; events of other loops are ignored.

    ``keep_windows``: whether window events stay in `events`; they are many, and their pending work counts either way.
    """

    def __init__(
        self,
        loop: str,
        events: Iterable[Envelope[Any]] = (),
        *,
        deciders: tuple[str, ...] = DECIDERS,
        keep_windows: bool = True,
    ) -> None:
        self.loop = loop
        self.pending = PendingWork(deciders)
        self._keep_windows = keep_windows
        self.detectors: tuple[int, list[SilentDetector]] = (0, [])
        """End of the newest window that the detectors decided, and those that could not judge it."""
        self._time_ms = 0
        self._clear()
        for event in events:
            self.apply(event)

    def _clear(self) -> None:
        """Forget everything that depends on the order of events."""
        self.events: dict[str, Envelope[Any]] = {}
        """By id, in the order of application."""
        self.chains: dict[str, list[Envelope[Any]]] = defaultdict(list)
        """By correlation id."""
        self.releases: dict[str, ReleaseState] = {}
        """By id, in the order of first mention."""
        self.entered: dict[int, list[Envelope[registry.StageEntered]]] = defaultdict(list)
        """By epoch."""
        self.commands: dict[str, Envelope[Any]] = {}
        """User commands by event id."""
        self.answered: set[tuple[str, str]] = set()
        """Kind and event id of the reasons that were requested or dropped."""
        self._by_kind: dict[type[Message], list[Envelope[Any]]] = defaultdict(list)
        self._first: dict[tuple[type[Message], str, str | int], Envelope[Any]] = {}
        self._missing_causes: set[str] = set()
        self._wall_ms = 0
        self.current = LoopState(self.loop)
        """Work in progress of `state`."""

    def apply(self, event: Envelope[Any]) -> None:
        """Apply an event once. Events come in the order of `order.in_order` or of `event_log.distinct_events`."""
        if event.loop != self.loop or event.id in self.events:
            return
        kind = type(event.data)
        self._time_ms = max(self._time_ms, event.time_ms)
        self.pending.resolve(f"event {event.id}")
        if self._is_kept(event):
            self._keep(event, kind)
        if kind in _HANDLERS:
            _HANDLERS[kind](self, event)

    def extend(self, events: Iterable[Envelope[Any]]) -> None:
        """Apply new events as if all events had come in the order of `order.in_order`.

        Folds the kept events again if a new one belongs before one of them.
        """
        new = []
        for event in events:
            if self._is_kept(event):
                new.append(event)
            else:
                self.apply(event)  # only pending work depends on it, in any order
        if any(event.wall_time_ms <= self._wall_ms or event.id in self._missing_causes for event in new):
            new += self.events.values()
            self._clear()
        for event in in_order(new):
            self.apply(event)

    def state(self) -> LoopState:
        """Return the current state; later events do not change it."""
        state = self.current
        return replace(
            state,
            time_ms=self._time_ms,
            former=list(state.former),
            kept=sorted(state.kept, key=lambda reason: (reason.since_ms, reason.event_id)),
            chains=dict(state.chains),
            paused_topics=dict(state.paused_topics),
            open=self.pending.open(),
            silent=self.detectors[1],
        )

    def span_ms(self) -> tuple[int, int]:
        """Return the first and last event time of the kept events; a window starts before its event."""
        times = [event.time_ms for event in self.events.values()]
        return min([*times, *(window.data.start_ms for window in self.of_kind(monitoring.WindowClosed))]), max(times)

    def of_kind(self, kind: type[M]) -> list[Envelope[M]]:
        """Return the events of a message type, in the order of application."""
        return self._by_kind.get(kind, [])

    def closed_windows(self) -> list[Envelope[monitoring.WindowClosed]]:
        """Return the closed windows, by the end of the window."""
        return sorted(self.of_kind(monitoring.WindowClosed), key=lambda event: event.data.end_ms)

    def first(self, kind: type[M], field: str, value: str | int) -> Envelope[M] | None:
        """Return the first event, by event time, then wall time, that has a value in a field of `_LINKS`."""
        return self._first.get((kind, field, value))

    def _is_kept(self, event: Envelope[Any]) -> bool:
        return self._keep_windows or not isinstance(event.data, WINDOWS)

    def _keep(self, event: Envelope[Any], kind: type[Message]) -> None:
        self.events[event.id] = event
        self.chains[event.correlation_id].append(event)
        self._by_kind[kind].append(event)
        self._wall_ms = max(self._wall_ms, event.wall_time_ms)
        if isinstance(event.data, COMMANDS):
            self.commands[event.id] = event
        if event.causation_id and event.causation_id not in self.events:
            self._missing_causes.add(event.causation_id)
        for field in _LINKS.get(kind, ()):
            if (value := getattr(event.data, field)) == "":
                continue  # no id
            key = (kind, field, value)
            first = self._first.setdefault(key, event)
            if (event.time_ms, event.wall_time_ms) < (first.time_ms, first.wall_time_ms):
                self._first[key] = event

    def release(self, release_id: str, event: Envelope[Any]) -> ReleaseState:
        """Return a release; add it if this event is the first that names it."""
        if release_id not in self.releases:
            self.releases[release_id] = ReleaseState(release_id, self.loop, correlation_id=event.correlation_id)
        return self.releases[release_id]

    def set_origin(self, release: ReleaseState, run_id: str, request_id: str, bundle: training.Bundle) -> None:
        """Set the run that made a release, and its result."""
        release.run_id, release.request_id = run_id, request_id
        release.bundle_uri, release.bundle_digest = bundle.uri, bundle.digest
        release.trained = self.first(training.CandidateTrained, "run_id", run_id)


def histories(events: Iterable[Envelope[Any]]) -> list[LoopHistory]:
    """Return the history of each loop that has events, by name."""
    loops: dict[str, LoopHistory] = {}
    for event in events:
        if event.loop not in loops:
            loops[event.loop] = LoopHistory(event.loop)
        loops[event.loop].apply(event)
    return sorted(loops.values(), key=lambda history: history.loop)


def loop_states(events: Iterable[Envelope[Any]]) -> list[LoopState]:
    """Return the current state of each loop that has events, by name. `LoopHistory.apply` states their order."""
    return [history.state() for history in histories(events)]


_LINKS: dict[type[Message], tuple[str, ...]] = {
    training.RetrainRequested: ("request_id",),
    training.RunStarted: ("request_id", "run_id"),
    training.CandidateTrained: ("request_id", "run_id"),
    training.RunFailed: ("request_id",),
    evaluation.VerdictReached: ("run_id",),
    registry.ReleaseCreated: ("run_id",),
    registry.ChampionPromoted: ("release_id",),
    registry.ReleaseRejected: ("release_id",),
    registry.ReleaseRolledBack: ("release_id",),
    registry.RouteChanged: ("epoch",),
    serving.RouteConverged: ("epoch", "challenger_release_id"),
}
"""Fields by which `LoopHistory.first` finds an event."""


def _window_closed(history: LoopHistory, event: Envelope[monitoring.WindowClosed]) -> None:
    window = event.data.window_id
    for decider in history.pending.deciders:
        history.pending.expect(f"window {window} {decider}", f"{decider} has not looked at window {window}")


def _window_decided(history: LoopHistory, event: Envelope[monitoring.WindowDecided]) -> None:
    data = event.data
    history.pending.resolve(f"window {data.window_id} {data.decider}")
    for opened in data.opened:
        history.pending.expect(f"event {opened}", f"{data.decider} opened {opened}, which has not been seen yet")
    if data.decider == "detectors" and data.end_ms >= history.detectors[0]:
        silent = [SilentDetector(row.detector, row.windows, row.rows, row.min_rows) for row in data.silent]
        history.detectors = (data.end_ms, silent)


def _drift_detected(history: LoopHistory, event: Envelope[monitoring.DriftDetected]) -> None:
    history.current.alarm, history.current.alarm_ms = text_of(event.data, "summary"), event.time_ms
    if event.data.mode == "trigger":
        history.pending.expect(f"reason {event.id}", f"alarm of {event.data.detector} waits for the retrain controller")


def _reason_coalesced(history: LoopHistory, event: Envelope[training.ReasonCoalesced]) -> None:
    data, reason, state = event.data, event.data.reason, history.current
    history.pending.resolve(f"reason {reason.event_id}")
    if data.because == "superseded":
        _answer_reasons(history, [reason])
    elif (reason.kind, reason.event_id) not in history.answered:
        kept = KeptReason(reason.kind, reason.detail, data.because, reason.event_time_ms, reason.event_id)
        state.kept.append(kept)
    if data.because == "no-trainer":
        state.untrained = reason.kind
    state.breaker_open |= data.because == "breaker"


def _answer_reasons(history: LoopHistory, reasons: Iterable[training.Reason]) -> None:
    """Record that reasons were requested or dropped: they are no longer kept."""
    history.answered |= {(reason.kind, reason.event_id) for reason in reasons}
    kept = history.current.kept
    history.current.kept = [reason for reason in kept if (reason.kind, reason.event_id) not in history.answered]


def _retrain_requested(history: LoopHistory, event: Envelope[training.RetrainRequested]) -> None:
    data, state = event.data, history.current
    for reason in data.reasons:
        history.pending.resolve(f"reason {reason.event_id}")
    _answer_reasons(history, data.reasons)
    if data.breaker:
        state.failures, state.breaker = data.failures, data.breaker
        state.breaker_open = data.failures >= data.breaker
    elif any(reason.kind not in ("command", "import") for reason in data.reasons):
        state.breaker_open = False  # of an older version, which does not say it: such a request proves it
    history.pending.expect(f"run {data.request_id}", f"run for request {data.request_id} goes on")
    if not data.HasField("model"):
        history.current.untrained = ""


def _candidate_trained(history: LoopHistory, event: Envelope[training.CandidateTrained]) -> None:
    data = event.data
    history.pending.resolve(f"run {data.request_id}")
    history.pending.expect(f"candidate {data.run_id}", f"candidate of run {data.run_id} has no offline verdict yet")
    for release in history.releases.values():
        if release.run_id == data.run_id:
            release.trained = history.first(training.CandidateTrained, "run_id", data.run_id)


def _run_failed(history: LoopHistory, event: Envelope[training.RunFailed]) -> None:
    history.pending.resolve(f"run {event.data.request_id}")
    _count_failure(history, event.data.request_id, text_of(event.data, "line"))


def _count_failure(history: LoopHistory, request_id: str, line: str) -> None:
    """Count a failed chain as the retrain controller does: imports do not count for the breaker."""
    state, request = history.current, history.first(training.RetrainRequested, "request_id", request_id)
    state.last_failure = line
    if request is not None and not request.data.HasField("model"):
        state.failures += 1
        state.breaker_open |= 0 < state.breaker <= state.failures


def _verdict_reached(history: LoopHistory, event: Envelope[evaluation.VerdictReached]) -> None:
    verdict = event.data
    history.current.verdict = verdict_line(verdict)
    release = history.release(verdict.release_id, event)
    release.verdicts = (*release.verdicts, event)
    if verdict.run_id:
        history.set_origin(release, verdict.run_id, verdict.request_id, verdict.bundle)
    description = f"{verdict.stage} verdict on {verdict.release_id} waits for the registry"
    if verdict.stage == _OFFLINE:
        history.pending.resolve(f"candidate {verdict.run_id}")
        history.pending.expect(f"verdict {event.id}", description)
    elif verdict.outcome in (evaluation.BETTER, evaluation.WORSE) or verdict.limit_reached:
        history.pending.expect_registry(event.id, verdict.release_id, description)


def _release_created(history: LoopHistory, event: Envelope[registry.ReleaseCreated]) -> None:
    data = event.data
    history.current.chains[data.release.release_id] = event.correlation_id
    release = history.release(data.release.release_id, event)
    history.set_origin(release, data.run_id, data.request_id, data.release.bundle)


def _stage_entered(history: LoopHistory, event: Envelope[registry.StageEntered]) -> None:
    data, state = event.data, history.current
    history.entered[data.epoch].append(event)
    stage = StageAt(data.stage, data.share, data.epoch, event.time_ms, data.reason, event.id)
    release = history.release(data.release_id, event)
    release.stages = tuple(sorted((*release.stages, stage), key=lambda stage: stage.epoch))
    history.pending.resolve(f"verdict {event.causation_id}")
    if data.champion_release_id:  # without a champion there is no route
        history.pending.expect_route(data.epoch)
    state.epoch = max(state.epoch, data.epoch)
    if data.stage not in ENDED:
        state.release, state.stage, state.share, state.waiting = data.release_id, data.stage, data.share, None
    elif data.release_id == state.release:
        state.end_release()


def _approval_requested(history: LoopHistory, event: Envelope[registry.ApprovalRequested]) -> None:
    data = event.data
    history.pending.resolve(f"verdict {event.causation_id}")
    if data.release_id == history.current.release:
        history.current.waiting = Waiting(data.release_id, data.to_stage, data.deadline_ms, event.id)


def _champion_promoted(history: LoopHistory, event: Envelope[registry.ChampionPromoted]) -> None:
    data, state = event.data, history.current
    if data.previous_release_id:
        state.former.append(data.previous_release_id)
    state.champion, state.champion_since_ms, state.untrained = data.release_id, event.time_ms, ""
    state.failures, state.breaker_open, state.last_failure = 0, False, ""


def _release_rejected(history: LoopHistory, event: Envelope[registry.ReleaseRejected]) -> None:
    data = event.data
    release = history.release(data.release_id, event)
    release.ended_because = data.reason
    if not release.stages:  # rejected offline: it never entered a stage
        release.stages = (StageAt("rejected", 0.0, 0, event.time_ms, data.reason, event.id),)
    if data.stage == _OFFLINE:
        history.pending.resolve(f"verdict {event.causation_id}")
    history.pending.end_release(data.release_id, event.causation_id)
    if data.release_id == history.current.release:
        history.current.end_release()
    _end_chain(history, release, event.data)


def _end_chain(
    history: LoopHistory, release: ReleaseState, data: registry.ReleaseRejected | registry.ReleaseRolledBack
) -> None:
    if is_failure(data.cause):
        _count_failure(history, release.request_id, text_of(data, "line"))
    elif isinstance(data, registry.ReleaseRejected) and data.stage == _OFFLINE and data.cause == ReleaseEnd.UNCLEAR:
        history.current.last_failure = text_of(data, "line")  # no failure of the trainer, but a reason to know
    else:
        history.current.last_failure = ""


def _release_rolled_back(history: LoopHistory, event: Envelope[registry.ReleaseRolledBack]) -> None:
    data, state = event.data, history.current
    release = history.release(data.release_id, event)
    release.ended_because = data.reason
    history.pending.end_release(data.release_id, event.causation_id)
    if data.from_stage == "champion":
        state.champion, state.champion_since_ms = data.to_release_id, event.time_ms
        state.former = [former for former in state.former if former != data.to_release_id]
    else:
        _end_chain(history, release, data)


def _route_changed(history: LoopHistory, event: Envelope[registry.RouteChanged]) -> None:
    history.pending.expect_route(event.data.epoch)
    history.current.epoch = max(history.current.epoch, event.data.epoch)


def _route_converged(history: LoopHistory, event: Envelope[serving.RouteConverged]) -> None:
    history.pending.resolve_routes(event.data.epoch)
    history.current.converged_epoch = max(history.current.converged_epoch, event.data.epoch)


def _route_failed(history: LoopHistory, event: Envelope[serving.RouteFailed]) -> None:
    history.pending.resolve_routes(event.data.epoch)


def _paused(history: LoopHistory, _event: Envelope[control.Pause]) -> None:
    history.current.paused = True


def _resumed(history: LoopHistory, _event: Envelope[control.Resume]) -> None:
    history.current.paused = False


def _topic_paused(history: LoopHistory, event: Envelope[ingestion.TopicPaused]) -> None:
    history.current.paused_topics[event.data.event_type] = text_of(event.data, "summary")


def _topic_resumed(history: LoopHistory, event: Envelope[ingestion.TopicResumed]) -> None:
    history.current.paused_topics.pop(event.data.event_type, None)


def _watermark_advanced(history: LoopHistory, event: Envelope[features.WatermarkAdvanced]) -> None:
    history.current.watermark = max(history.current.watermark, rfc3339(event.data.watermark_ms))


_HANDLERS: dict[type[Message], Callable[[LoopHistory, Any], None]] = {
    monitoring.WindowClosed: _window_closed,
    monitoring.WindowDecided: _window_decided,
    monitoring.DriftDetected: _drift_detected,
    training.ReasonCoalesced: _reason_coalesced,
    training.RetrainRequested: _retrain_requested,
    training.CandidateTrained: _candidate_trained,
    training.RunFailed: _run_failed,
    evaluation.VerdictReached: _verdict_reached,
    registry.ReleaseCreated: _release_created,
    registry.StageEntered: _stage_entered,
    registry.ApprovalRequested: _approval_requested,
    registry.ChampionPromoted: _champion_promoted,
    registry.ReleaseRejected: _release_rejected,
    registry.ReleaseRolledBack: _release_rolled_back,
    registry.RouteChanged: _route_changed,
    serving.RouteConverged: _route_converged,
    serving.RouteFailed: _route_failed,
    control.Pause: _paused,
    control.Resume: _resumed,
    ingestion.TopicPaused: _topic_paused,
    ingestion.TopicResumed: _topic_resumed,
    features.WatermarkAdvanced: _watermark_advanced,
}

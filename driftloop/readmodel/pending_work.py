"""What is open: events that still owe an answer. Pure; fed with lifecycle events in any order.

A replay stands still at a window's end until nothing is open; `driftloop status` shows the same.

| an open event | is closed by |
|---|---|
| window-closed | one window-decided of each decider |
| window-decided that names events | those events: they may stand on topics that are read later |
| drift-detected (trigger) | a reason-coalesced or retrain-requested that names it |
| retrain-requested | candidate-trained or run-failed of the request |
| candidate-trained | the offline verdict on its run |
| verdict-reached offline | stage-entered, or release-rejected offline, from it |
| verdict-reached better, worse or at its limit | stage-entered or approval-requested from it, or the release ended |
| stage-entered, route-changed | route-converged or route-failed of the epoch, or of a newer one |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope

DECIDERS = ("detectors", "evaluation", "training")
_OFFLINE = "offline"


@dataclass
class PendingWork:
    """Tracks obligations of one loop. Both sides of an obligation may come first."""

    loop: str
    deciders: tuple[str, ...] = DECIDERS
    _owed: dict[str, str] = field(default_factory=dict)
    """Obligation to what it is, in words."""
    _met: set[str] = field(default_factory=set)
    _verdicts: dict[str, str] = field(default_factory=dict)
    """Release of each verdict that is owed an answer, by obligation."""
    _ended: dict[str, str | None] = field(default_factory=dict)
    """Releases that nobody can move any more, with what caused their end."""
    _epoch: int = 0

    def see(self, event: Envelope[Any]) -> None:
        """Take note of an event; those of other loops are passed over."""
        if event.loop != self.loop:
            return
        self.resolve(f"event {event.id}")
        note = _NOTES.get(type(event.data))
        if note is not None:
            note(self, event)

    def open(self) -> list[str]:
        """What is open, in words, in the order in which it opened."""
        return list(self._owed.values())

    def expect(self, obligation: str, words: str) -> None:
        """An answer is due, unless it came already."""
        if obligation not in self._met:
            self._owed[obligation] = words

    def resolve(self, obligation: str) -> None:
        """The answer came."""
        self._met.add(obligation)
        self._owed.pop(obligation, None)

    def judged(self, verdict_id: str, release_id: str, words: str) -> None:
        """The registry owes an answer, unless something else has brought the release to its end."""
        if self._ended.get(release_id, verdict_id) == verdict_id:
            self._verdicts[f"verdict {verdict_id}"] = release_id
            self.expect(f"verdict {verdict_id}", words)

    def ended(self, release_id: str, cause: str | None) -> None:
        """A release was rejected or taken back: verdicts on it are past, but for the one that did it.

        What that one is answered with stands on other topics.
        """
        self._ended[release_id] = cause
        for obligation, about in self._verdicts.items():
            if about == release_id and obligation != f"verdict {cause}":
                self.resolve(obligation)

    def route(self, epoch: int) -> None:
        """A route is due."""
        if epoch > self._epoch:
            self.expect(f"route {epoch}", f"route of epoch {epoch} is not served yet")

    def routed(self, epoch: int) -> None:
        """A route was served or failed; older ones are past."""
        self._epoch = max(self._epoch, epoch)
        for obligation in [each for each in self._owed if each.startswith("route ") and int(each[6:]) <= epoch]:
            self.resolve(obligation)


def _window_closed(state: PendingWork, event: Envelope[monitoring.WindowClosed]) -> None:
    for decider in state.deciders:
        state.expect(
            f"window {event.data.window_id} {decider}", f"{decider} has not looked at window {event.data.window_id}"
        )


def _window_decided(state: PendingWork, event: Envelope[monitoring.WindowDecided]) -> None:
    state.resolve(f"window {event.data.window_id} {event.data.decider}")
    for opened in event.data.opened:
        state.expect(f"event {opened}", f"{event.data.decider} opened {opened}, which has not been seen yet")


def _drift_detected(state: PendingWork, event: Envelope[monitoring.DriftDetected]) -> None:
    if event.data.mode == "trigger":
        state.expect(f"reason {event.id}", f"alarm of {event.data.detector} waits for the retrain controller")


def _reason_coalesced(state: PendingWork, event: Envelope[training.ReasonCoalesced]) -> None:
    state.resolve(f"reason {event.data.reason.event_id}")


def _retrain_requested(state: PendingWork, event: Envelope[training.RetrainRequested]) -> None:
    for reason in event.data.reasons:
        state.resolve(f"reason {reason.event_id}")
    state.expect(f"run {event.data.request_id}", f"run for request {event.data.request_id} goes on")


def _candidate_trained(state: PendingWork, event: Envelope[training.CandidateTrained]) -> None:
    state.resolve(f"run {event.data.request_id}")
    state.expect(f"candidate {event.data.run_id}", f"candidate of run {event.data.run_id} has no offline verdict yet")


def _run_failed(state: PendingWork, event: Envelope[training.RunFailed]) -> None:
    state.resolve(f"run {event.data.request_id}")


def _verdict_reached(state: PendingWork, event: Envelope[evaluation.VerdictReached]) -> None:
    verdict = event.data
    words = f"{verdict.stage} verdict on {verdict.release_id} waits for the registry"
    if verdict.stage == _OFFLINE:
        state.resolve(f"candidate {verdict.run_id}")
        state.expect(f"verdict {event.id}", words)
    elif verdict.outcome in (evaluation.BETTER, evaluation.WORSE) or verdict.limit_reached:
        state.judged(event.id, verdict.release_id, words)


def _stage_entered(state: PendingWork, event: Envelope[registry.StageEntered]) -> None:
    state.resolve(f"verdict {event.causation_id}")
    if event.data.champion_release_id:  # else nobody answers any more, and there is no route
        state.route(event.data.epoch)


def _approval_requested(state: PendingWork, event: Envelope[registry.ApprovalRequested]) -> None:
    state.resolve(f"verdict {event.causation_id}")


def _release_rejected(state: PendingWork, event: Envelope[registry.ReleaseRejected]) -> None:
    if event.data.stage == _OFFLINE:
        state.resolve(f"verdict {event.causation_id}")
    state.ended(event.data.release_id, event.causation_id)


def _release_rolled_back(state: PendingWork, event: Envelope[registry.ReleaseRolledBack]) -> None:
    state.ended(event.data.release_id, event.causation_id)


def _route_changed(state: PendingWork, event: Envelope[registry.RouteChanged]) -> None:
    state.route(event.data.epoch)


def _route_answered(state: PendingWork, event: Envelope[serving.RouteConverged | serving.RouteFailed]) -> None:
    state.routed(event.data.epoch)


_NOTES: dict[type[Message], Callable[[PendingWork, Envelope[Any]], None]] = {
    monitoring.WindowClosed: _window_closed,
    monitoring.WindowDecided: _window_decided,
    monitoring.DriftDetected: _drift_detected,
    training.ReasonCoalesced: _reason_coalesced,
    training.RetrainRequested: _retrain_requested,
    training.CandidateTrained: _candidate_trained,
    training.RunFailed: _run_failed,
    evaluation.VerdictReached: _verdict_reached,
    registry.StageEntered: _stage_entered,
    registry.ApprovalRequested: _approval_requested,
    registry.ReleaseRejected: _release_rejected,
    registry.ReleaseRolledBack: _release_rolled_back,
    registry.RouteChanged: _route_changed,
    serving.RouteConverged: _route_answered,
    serving.RouteFailed: _route_answered,
}

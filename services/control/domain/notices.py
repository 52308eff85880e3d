"""What a person is told of, and in which words. Pure.

An episode gives one notice, however often its event comes or is published again: the notice's id is made from kind,
loop and episode.

| kind | of | its episode |
|---|---|---|
| drift | `monitoring.drift-detected` of a trigger detector | detector, release and first window |
| approval | `registry.approval-requested` | release, next stage and deadline: each better verdict asks again |
| rollback | `registry.release-rolled-back` | release and the stage it was in |
| run-failed | `training.run-failed` | run |
| route-failed | `serving.route-failed` | epoch: the agent may try a route again |
| stuck | work that stays pending (`driftloop.readmodel.pending_work`) | its text and the day it was first seen |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events import ids
from driftloop.events.envelope import Envelope, rfc3339
from driftloop.readmodel.event_text import day

DRIFT, APPROVAL, ROLLBACK = "drift", "approval", "rollback"
RUN_FAILED, ROUTE_FAILED, STUCK = "run-failed", "route-failed", "stuck"
KINDS = (DRIFT, APPROVAL, ROLLBACK, RUN_FAILED, ROUTE_FAILED, STUCK)

_LONGEST_QUOTE = 400
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person should know, and what to do about it."""

    notice_id: str
    kind: str
    """One of `KINDS`."""
    loop: str
    episode: str
    """What it is about, within kind and loop."""
    time_ms: int
    """Event time, UTC ms. Of a stuck loop, which has no event: the wall time of the look."""
    wall_time_ms: int
    """When the event was published, UTC ms."""
    title: str
    text: str
    """Plain sentences; commands stand between back-ticks."""
    event_id: str
    """Empty where there is no event."""
    correlation_id: str
    """Chain of the event; empty where there is none."""


@dataclass(frozen=True, slots=True)
class _Words:
    """What differs by kind."""

    kind: str
    episode: str
    title: str
    text: str


def notice_of(event: Envelope[Any]) -> Notice | None:
    """The notice that a lifecycle event gives; None for all that nobody has to be told of."""
    write = _WRITERS.get(type(event.data))
    words = write(event) if write is not None else None
    if words is None:
        return None
    return _notice(event.loop, words, event.time_ms, event.wall_time_ms, event.id, event.correlation_id)


def stuck(loop: str, open_since: Mapping[str, int], now_ms: int, after_ms: int) -> Notice | None:
    """The notice that a loop has stood still for more than ``after_ms``; None while it has not.

    It is about the oldest obligation: the younger ones mostly wait for it. Once that is met, the next oldest is looked
    at, so that each is told of at most once. The same words may come again months later, so the day counts too: after
    a restart that saw an obligation "first" on another day, it is told once more.

    Args:
        loop: name of the loop.
        open_since: obligation in words to the wall time at which it was first seen, UTC ms.
        now_ms: wall time, UTC ms.
        after_ms: how long an obligation may be open, in ms.
    """
    late = sorted((since, words) for words, since in open_since.items() if now_ms - since > after_ms)
    if not late:
        return None
    since, oldest = late[0]
    others = f" So do {len(late) - 1} more." if len(late) > 1 else ""
    text = (
        f"Open since {_moment(since)}: {_quote(oldest)}.{others} A part is down, or does not get on. "
        f"Which one: `driftloop status`. What came last: `driftloop timeline {loop}`."
    )
    words = _Words(STUCK, f"{oldest} since {rfc3339(since)[:10]}", f"{loop}: stuck for {_span(now_ms - since)}", text)
    return _notice(loop, words, now_ms, now_ms, "", "")


def _notice(loop: str, words: _Words, time_ms: int, wall_time_ms: int, event_id: str, chain: str) -> Notice:
    return Notice(
        notice_id=ids.event_id("notice", words.kind, loop, words.episode),
        kind=words.kind,
        loop=loop,
        episode=words.episode,
        time_ms=time_ms,
        wall_time_ms=wall_time_ms,
        title=words.title,
        text=words.text,
        event_id=event_id,
        correlation_id=chain,
    )


def _drift_detected(event: Envelope[monitoring.DriftDetected]) -> _Words | None:
    alarm, loop = event.data, event.loop
    if alarm.mode != "trigger":
        return None
    text = (
        f"{_quote(alarm.explanation or 'its statistic passed the threshold')}. "
        f"Statistic {alarm.statistic:.4g}, threshold {alarm.threshold:.4g}, {alarm.blocks} blocks, release "
        f"{alarm.release_id}, event time {_moment(event.time_ms)}. A retrain follows by itself where the loop has a "
        f"trainer; see how far it is: `driftloop timeline {loop}`. Where the newest change brought it, take that back: "
        f"`driftloop rollback {loop} --why ...`."
    )
    episode = f"{alarm.detector} {alarm.release_id} {alarm.episode}"
    return _Words(DRIFT, episode, f"{loop}: detector {alarm.detector} alarms", text)


def _approval_requested(event: Envelope[registry.ApprovalRequested]) -> _Words:
    asked, loop = event.data, event.loop
    text = (
        f"Release {asked.release_id} waits for a person before it becomes {asked.to_stage}. With no answer the loop's "
        f"policy decides once its event time is past {_moment(asked.deadline_ms)}, "
        f"{_span(asked.deadline_ms - event.time_ms)} after this. Read its verdicts: `driftloop timeline {loop}`. "
        f"Let it go on: `driftloop approve {loop} {asked.release_id} --why ...`. "
        f"End it: `driftloop reject {loop} {asked.release_id} --why ...`."
    )
    episode = f"{asked.release_id} {asked.to_stage} {asked.deadline_ms}"
    return _Words(APPROVAL, episode, f"{loop}: {asked.release_id} waits for an approval", text)


def _release_rolled_back(event: Envelope[registry.ReleaseRolledBack]) -> _Words:
    gone, loop = event.data, event.loop
    after = f"{gone.to_release_id} answers" if gone.to_release_id else "Nobody answers: the loop has no champion"
    text = (
        f"Release {gone.release_id} was taken back from {gone.from_stage}: {_quote(gone.reason or 'no reason given')}. "
        f"{after}. What led to it: `driftloop timeline {loop}`."
    )
    return _Words(ROLLBACK, f"{gone.release_id} {gone.from_stage}", f"{loop}: {gone.release_id} was rolled back", text)


def _run_failed(event: Envelope[training.RunFailed]) -> _Words:
    run, loop = event.data, event.loop
    why = f"{run.reason or 'error'}: {run.detail}" if run.detail else run.reason or "error"
    text = (
        f"Run {run.run_id} of request {run.request_id} gave no model: {_quote(why)}. Who answers stays as it is. "
        f"What asked for the run: `driftloop timeline {loop}`. Its own last words: "
        f"training/{loop}/{run.run_id}/stderr.log below DRIFTLOOP_HOME."
    )
    return _Words(RUN_FAILED, run.run_id or run.request_id, f"{loop}: a training run failed", text)


def _route_failed(event: Envelope[serving.RouteFailed]) -> _Words:
    route, loop = event.data, event.loop
    text = (
        f"Route {route.epoch} could not be served, for {route.release_id or 'no release'}: "
        f"{_quote(route.reason or 'no reason given')}. The route before it answers, where there is one, and "
        f"what brought this one is ended. What followed: `driftloop timeline {loop}`. Where the answers are wrong all "
        f"the same: `driftloop rollback {loop} --why ...`."
    )
    return _Words(ROUTE_FAILED, str(route.epoch), f"{loop}: route {route.epoch} failed", text)


def _quote(words: str) -> str:
    """Somebody else's words as a part of a sentence: one line, not too long, no full stop."""
    line = " ".join(words.split()).rstrip(".")
    return line if len(line) <= _LONGEST_QUOTE else f"{line[: _LONGEST_QUOTE - 1]}…"


def _moment(time_ms: int) -> str:
    return f"{day(time_ms)} UTC"


def _span(length_ms: int) -> str:
    if length_ms >= 2 * _DAY_MS:
        return f"{length_ms / _DAY_MS:.1f} days"
    if length_ms >= 2 * _HOUR_MS:
        return f"{length_ms / _HOUR_MS:.1f} hours"
    return f"{length_ms / _MINUTE_MS:.0f} minutes"


_WRITERS: dict[type[Message], Callable[[Envelope[Any]], _Words | None]] = {
    monitoring.DriftDetected: _drift_detected,
    registry.ApprovalRequested: _approval_requested,
    registry.ReleaseRolledBack: _release_rolled_back,
    training.RunFailed: _run_failed,
    serving.RouteFailed: _route_failed,
}

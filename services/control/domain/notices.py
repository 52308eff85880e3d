"""Notices to people. Pure; their text is in `driftloop.readmodel.catalogue`.

One episode gives one notice, even if its event comes again: the notice's id is made of kind, loop and episode.

| kind | event | episode |
|---|---|---|
| drift | `monitoring.drift-detected` of a trigger detector | detector, release and first window |
| watch | `monitoring.drift-detected` of a watching detector | detector, release and first window |
| breaker | `training.reason-coalesced` because of the breaker | the reason |
| approval | `registry.approval-requested` | release, next stage and deadline: each better verdict asks again |
| rollback | `registry.release-rolled-back` | release and the stage it was in |
| run-failed | `training.run-failed` | run |
| topic-paused | `ingestion.topic-paused` | topic and position of the last dead letter |
| writer-given-up | `monitoring.writer-given-up` | Triton and its start |
| route-failed | `serving.route-failed` | epoch: the agent may try a route again |
| stuck | none: work stays pending (`driftloop.readmodel.pending_work`) | its text and the day it was first seen |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftloop.events import ids
from driftloop.events.envelope import Envelope
from driftloop.readmodel import catalogue
from driftloop.readmodel.event_text import describe_data, entry_of, render, values_of


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person should know, and what to do about it."""

    notice_id: str
    kind: str
    """One of `catalogue.NOTICE_KINDS`."""
    loop: str
    episode: str
    """What it is about, within kind and loop."""
    time_ms: int
    """Event time, UTC ms. Of a stuck loop, which has no event: the wall time of the check."""
    wall_time_ms: int
    """When the event was published, UTC ms."""
    title: str
    text: str
    """Plain sentences; commands are in back-ticks."""
    event_id: str
    """Empty if there is no event."""
    correlation_id: str
    """Chain of the event; empty without an event."""


def notice_of(event: Envelope[Any]) -> Notice | None:
    """Return the notice of a lifecycle event; None if people need not know of it."""
    text = entry_of(event.data).notice
    if text is None:
        return None
    values = values_of(event.data)
    values.update(
        line=describe_data(event.data),
        time_ms=event.time_ms,
        remaining_ms=getattr(event.data, "deadline_ms", event.time_ms) - event.time_ms,
    )
    return _notice(text, event.loop, values, event.time_ms, event.wall_time_ms, event.id, event.correlation_id)


def stuck(loop: str, open_since: Mapping[str, int], now_ms: int, after_ms: int) -> Notice | None:
    """Return the notice that work of a loop is pending for more than ``after_ms``; None if none is.

    The notice is about the oldest work: younger work mostly waits for it. When that is done, the next oldest gets a
    notice of its own. The same text may come again months later, so the episode includes the day: after a restart on
    another day the same work gets a second notice.

    Args:
        loop: name of the loop.
        open_since: text of pending work to the wall time at which it was first seen, UTC ms.
        now_ms: wall time, UTC ms.
        after_ms: how long work may be pending, in ms.
    """
    late = sorted((since, work) for work, since in open_since.items() if now_ms - since > after_ms)
    if not late:
        return None
    since_ms, oldest = late[0]
    values: dict[str, Any] = {
        "oldest": oldest,
        "since_ms": since_ms,
        "age_ms": now_ms - since_ms,
        "others": len(late) - 1 or None,
    }
    return _notice(catalogue.STUCK, loop, values, now_ms, now_ms, "", "")


def _notice(
    text: catalogue.NoticeText,
    loop: str,
    values: dict[str, Any],
    time_ms: int,
    wall_time_ms: int,
    event_id: str,
    chain: str,
) -> Notice:
    values["loop"] = loop
    episode = render(text.episode, values)
    return Notice(
        notice_id=ids.event_id("notice", text.kind, loop, episode),
        kind=text.kind,
        loop=loop,
        episode=episode,
        time_ms=time_ms,
        wall_time_ms=wall_time_ms,
        title=render(text.title, values),
        text=render(text.text, values),
        event_id=event_id,
        correlation_id=chain,
    )

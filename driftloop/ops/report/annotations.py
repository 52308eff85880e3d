"""Marks of lifecycle events across plots over time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from driftloop.events.envelope import Envelope
from driftloop.readmodel.event_text import entry_of, render, values_of


@dataclass(frozen=True)
class Mark:
    """An event across a plot."""

    at: datetime
    kind: str
    """alarm, run, stage, promoted or rejected"""
    text: str


def marks_of(events: Iterable[Envelope[Any]]) -> list[Mark]:
    """Return a mark for each event that the catalogue marks: trigger alarms, runs, stages, promotions, rejections."""
    return [mark for event in events if (mark := _mark(event))]


def moment(time_ms: int) -> datetime:
    """Return a UTC time in milliseconds as a datetime."""
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC)


def _mark(event: Envelope[Any]) -> Mark | None:
    mark = entry_of(event.data).mark
    return Mark(moment(event.time_ms), mark[0], render(mark[1], values_of(event.data))) if mark else None

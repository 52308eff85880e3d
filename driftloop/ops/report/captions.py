"""The text in each box of a chain's picture. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from driftloop.events.envelope import Envelope
from driftloop.readmodel.event_text import day, text_of

_LONGEST = 45


@dataclass(frozen=True)
class Caption:
    """Text of a box."""

    title: str
    detail: str
    at: str
    """Event time."""


def caption(event: Envelope[Any]) -> Caption:
    """Return the catalogue's title and detail of an event; a long detail is cut."""
    detail = text_of(event.data, "detail")
    shown = detail if len(detail) <= _LONGEST else f"{detail[: _LONGEST - 1]}…"
    return Caption(text_of(event.data, "title"), shown, day(event.time_ms)[:10])

"""The catalogue's lines of events, so that only the catalogue's own tests contain its wording."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from driftloop.events.envelope import Envelope
from driftloop.readmodel.event_text import describe_data, kind_of


def newest_line(events: Iterable[Envelope[Any]], kind: str, chain: str = "") -> str:
    """Return the line of the newest event of a kind, such as ``StageEntered``; only of a chain if one is given."""
    chosen = [event for event in events if kind_of(event.data) == kind and chain in ("", event.correlation_id)]
    return describe_data(chosen[-1].data)

"""Envelopes for tests of handlers."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from driftloop.events.envelope import Envelope


def envelope(event_id: str, data: Message, time_ms: int, chain: str = "chain") -> Envelope[Any]:
    """Return an event as a handler receives it."""
    return Envelope(
        id=event_id,
        source="/driftloop/test",
        type=data.DESCRIPTOR.full_name,
        loop=getattr(data, "loop", ""),
        time_ms=time_ms,
        wall_time_ms=0,
        correlation_id=chain,
        causation_id=None,
        traceparent=None,
        data=data,
    )

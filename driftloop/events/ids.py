"""Ids that depend only on what they identify, so that the same log always gives the same ids."""

from __future__ import annotations

import uuid

_NAMESPACE = uuid.UUID("5f0e7a51-6a1c-5a65-9f5e-0f3bb2a7c1d4")


def event_id(kind: str, *parts: str | int) -> str:
    """Return the id of a lifecycle event: a version 5 UUID (RFC 9562, section 5.5) of its kind and natural parts."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join([kind, *map(str, parts)])))


def short_id(prefix: str, *parts: str | int) -> str:
    """Return a short id for people, such as a release id: the prefix and twelve hex digits."""
    return f"{prefix}-{uuid.uuid5(_NAMESPACE, chr(31).join([prefix, *map(str, parts)])).hex[:12]}"

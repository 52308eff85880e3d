"""Markers of probes: requests and raw events that only test whether the system answers."""

from __future__ import annotations

from collections.abc import Collection

PURPOSE = "driftloop-purpose"
"""Request parameter, and header of a record in a raw topic."""
PROBE = "probe"
"""Header value that marks a probe."""
PROBE_ID = "driftloop-probe"
"""Header of a probe record: the id that the answer repeats."""

_MARK = (PURPOSE, PROBE.encode())


def is_probe(headers: Collection[tuple[str, bytes]]) -> bool:
    """Return whether a raw record with these headers is a probe."""
    return _MARK in headers

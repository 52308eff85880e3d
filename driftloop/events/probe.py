"""Markers of probes: requests and raw events that only test whether the system answers."""

from __future__ import annotations

from collections.abc import Collection

MARKER = "driftloop-purpose"
"""Name of the request parameter, or of the header of a raw record, that marks a probe."""
PROBE = "probe"
"""Value of the marker."""
SECRET = "driftloop-probe-secret"  # noqa: S105  # the parameter's name
"""Name of the request parameter with the system's probe secret. Without it, a request may not call itself a probe."""
PROBE_ID = "driftloop-probe"
"""Header of a raw record that is a probe: the id that its answer repeats."""

_MARKER_HEADER = (MARKER, PROBE.encode())


def probe_headers(probe_id: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that make a raw record a probe with this id."""
    return (_MARKER_HEADER, (PROBE_ID, probe_id.encode()))


def is_probe(headers: Collection[tuple[str, bytes]]) -> bool:
    """Return whether a raw record with these headers is a probe."""
    return _MARKER_HEADER in headers

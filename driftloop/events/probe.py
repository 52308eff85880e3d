"""How a request or a raw event says that it only tries whether the system answers."""

from __future__ import annotations

from collections.abc import Collection

PURPOSE = "driftloop-purpose"
"""Parameter of a request, header of a record in a raw topic."""
PROBE = "probe"
"""Its value where no client asked, or where nothing happened."""
PROBE_ID = "driftloop-probe"
"""Header of such a record: the name under which its sender waits for the answer."""

_MARK = (PURPOSE, PROBE.encode())


def is_probe(headers: Collection[tuple[str, bytes]]) -> bool:
    """Whether a raw record with these headers is a test event."""
    return _MARK in headers

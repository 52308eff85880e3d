"""Markers of probes: requests and raw events that only test whether the system answers."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection

from driftloop.bus.ports import Record

MARKER = "driftloop-purpose"
"""Name of the request parameter, or of the header of a raw record, that marks a probe."""
PROBE = "probe"
"""Value of the marker."""
SECRET = "driftloop-probe-secret"  # noqa: S105  # the parameter's name
"""Name of the request parameter with the system's probe secret. Without it, a request may not call itself a probe."""
PROBE_ID = "driftloop-probe"
"""Header of a raw record that is a probe: the id that its answer repeats."""

SIGNATURE = "driftloop-probe-signature"
"""Header of a raw record that is a probe: what only this system can write. It holds for this id and value alone."""

_MARKER_HEADER = (MARKER, PROBE.encode())


def probe_headers(probe_id: str, value: bytes, secret: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that make a raw record with this value a probe with this id."""
    signature = _signature(probe_id.encode(), value, secret)
    return (_MARKER_HEADER, (PROBE_ID, probe_id.encode()), (SIGNATURE, signature))


def is_marked(headers: Collection[tuple[str, bytes]]) -> bool:
    """Return whether a raw record with these headers calls itself a probe."""
    return _MARKER_HEADER in headers


def is_probe(record: Record, secret: str) -> bool:
    """Return whether a raw record is a probe of this system. Any other that calls itself one is an event."""
    if not is_marked(record.headers):
        return False
    signature = _signature(record.header(PROBE_ID) or b"", record.value or b"", secret)
    return hmac.compare_digest(record.header(SIGNATURE) or b"", signature)


def _signature(probe_id: bytes, value: bytes, secret: str) -> bytes:
    return hmac.new(secret.encode(), probe_id + b"\x1f" + value, hashlib.sha256).hexdigest().encode()

"""Searches larger bounds than the tests: ``python -m tests.simulation.watermark_protocol``. It takes minutes."""

from __future__ import annotations

import sys

from tests.simulation.watermark_protocol.model import Bounds, Rules, search

LARGER = (
    Bounds(writers=2, leaves=0),
    Bounds(writers=2, windows=2, leaves=0, gifts=0),
    Bounds(writers=3, leaves=0, gifts=0),
    Bounds(writers=3, deaths=0, leaves=0),
    Bounds(writers=2),
)

if __name__ == "__main__":
    for bounds in LARGER:
        sys.stdout.write(f"{bounds}: {search(Rules(), bounds)} states\n")

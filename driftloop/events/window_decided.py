"""Builds the event with which a decider answers a closed window."""

from __future__ import annotations

from collections.abc import Iterable

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events import ids
from driftloop.events.envelope import Draft


def window_decided(
    decider: str,
    window: monitoring.WindowClosed,
    opened: Iterable[Draft],
    silent: Iterable[monitoring.SilentDetector] = (),
) -> Draft:
    """Return the event that lists what a decider opened because of a window, possibly nothing.

    ``silent``: the detectors that could not judge several windows in a row.
    """
    data = monitoring.WindowDecided(
        loop=window.loop,
        window_id=window.window_id,
        end_ms=window.end_ms,
        decider=decider,
        opened=[draft.id for draft in opened],
        silent=silent,
    )
    identity = ids.event_id("monitoring.window-decided", window.loop, window.window_id, decider)
    return Draft(identity, window.loop, window.end_ms, data)

"""Delays some events, so that they arrive after watermarks that exceed their event time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from driftloop.ops.replay.encode import Events


def delay(events: Events, share: float, by_ms: int, seed: int) -> Events:
    """Send each event, with probability ``share`` (0 to 1), ``by_ms`` later than its time; the others on time.

    ``seed`` decides which. The result's ``time_ms`` is when a record is sent; its event time is unchanged.
    """
    chosen = np.random.default_rng(seed).random(len(events.time_ms)) < share
    sent_ms = events.time_ms + np.where(chosen, by_ms, 0)
    order = np.argsort(sent_ms, kind="stable")
    return replace(events, table=events.table.take(pa.array(order)), time_ms=sent_ms[order])

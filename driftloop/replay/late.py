"""Delays some events, so that they come after watermarks that they stand before."""

from __future__ import annotations

import numpy as np

from driftloop.replay.encode import Encoded


def delay(encoded: Encoded, share: float, by_ms: int, seed: int) -> Encoded:
    """Send each event, with probability ``share`` (0 to 1), ``by_ms`` later than its time; the others keep theirs.

    Which ones is drawn with ``seed``. The result's ``time_ms`` says when a record is sent; its event time is as it was.
    """
    chosen = np.random.default_rng(seed).random(len(encoded.records)) < share
    sent_ms = encoded.time_ms + np.where(chosen, by_ms, 0)
    order = np.argsort(sent_ms, kind="stable")
    return Encoded([encoded.records[at] for at in order], sent_ms[order])

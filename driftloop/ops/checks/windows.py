"""Sums of closed windows, computed a second time row by row, with corrected outcomes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Envelope
from driftloop.loop import LoopDefinition, to_ms
from driftloop.ops.checks.model import Check
from driftloop.ops.checks.predictions import Predictions

_TOLERANCE = 1e-6
_FLOOR = 1e-7
_MEAN_FLOOR = 1e-9
_WindowRelease = tuple[int, str]
"""A window's end and a release."""


@dataclass
class Sums:
    """Sums over the joined predictions that a release scored in a window."""

    count: int = 0
    loss: float = 0.0
    outcome: float = 0.0

    def equals(self, other: Sums) -> bool:
        """Return whether both are equal, sums to a relative 1e-6."""
        close = (
            math.isclose(mine, theirs, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
            for mine, theirs in ((self.loss, other.loss), (self.outcome, other.outcome))
        )
        return self.count == other.count and all(close)


def reported_windows(events: Iterable[Envelope[Any]]) -> dict[_WindowRelease, Sums]:
    """Return monitoring's last sums of each release with rows in a window: as closed, or as restated."""
    closed: dict[int, Iterable[monitoring.ReleaseWindow]] = {}
    restated: dict[int, tuple[str, Iterable[monitoring.ReleaseWindow]]] = {}
    for data in (event.data for event in events):
        if isinstance(data, monitoring.WindowClosed):
            closed[data.end_ms] = data.releases
        elif isinstance(data, monitoring.WindowRestated):
            newest = (data.known_by_window_id, data.after)
            restated[data.end_ms] = max(
                restated.get(data.end_ms, newest), newest, key=lambda restatement: restatement[0]
            )
    newest_sums = {**closed, **{end_ms: after for end_ms, (_, after) in restated.items()}}
    return {
        (end_ms, row.release_id): Sums(row.count, row.loss_sum, row.outcome_sum)
        for end_ms, releases in newest_sums.items()
        for row in releases
        if row.count
    }


def recount_windows(
    predictions: Predictions, outcomes: Sequence[tuple[str, int, float]], loop: LoopDefinition, until_ms: int
) -> dict[_WindowRelease, Sums]:
    """Compute the same sums from the log and the outcomes, as they are known at a watermark.

    ``outcomes``: (key, time of visibility, value) in order.
    """
    horizon_ms, block_ms = to_ms(loop.label.horizon), to_ms(loop.monitoring.block)
    first, value_of = _as_corrected(outcomes, to_ms(loop.label.correction_span), until_ms)
    sums_by_window: dict[_WindowRelease, Sums] = defaultdict(Sums)
    times = zip(predictions.decision_time_ms, predictions.visible_ms, strict=True)
    rows = zip(predictions.key, times, predictions.probe, predictions.scores, strict=True)
    for key, (decided_ms, seen_ms), probe, scores in rows:
        if probe or key not in first or not seen_ms <= first[key] <= decided_ms + horizon_ms:
            continue
        end_ms = (max(first[key], int(decided_ms)) // block_ms + 1) * block_ms
        for release, logged in scores.items():
            sums = sums_by_window[end_ms, release]
            sums.count += 1
            sums.loss += _loss(loop.label.kind, logged, value_of[key])
            sums.outcome += _outcome(logged, value_of[key])
    return dict(sums_by_window)


def window_check(reported: Mapping[_WindowRelease, Sums], expected: Mapping[_WindowRelease, Sums]) -> Check:
    """Return one check over all windows and releases."""
    keys = sorted(reported.keys() | expected.keys())
    empty = Sums()
    wrong = [key for key in keys if not reported.get(key, empty).equals(expected.get(key, empty))]
    detail = ""
    if wrong:
        first = wrong[0]
        sums = f"reported {reported.get(first)}, expected {expected.get(first)}"
        detail = f"first {first[1]} in the window to {first[0]}: {sums}"
    return Check("sums of windows by release", len(keys), len(wrong), detail)


def _as_corrected(
    outcomes: Sequence[tuple[str, int, float]], span_ms: int, until_ms: int
) -> tuple[dict[str, int], dict[str, float]]:
    """Return when each key's first outcome was visible, and each key's final value."""
    first: dict[str, int] = {}
    value_of: dict[str, float] = {}
    for key, at, value in outcomes:
        if at < until_ms and (key not in first or at < first[key] + span_ms):
            first.setdefault(key, at)
            value_of[key] = value
    return first, value_of


def _outcome(logged: Sequence[float], value: float) -> float:
    """Return the outcome itself, or whether the likeliest class came true."""
    classes = logged[1:]
    return float(classes.index(max(classes)) == value) if classes else value


def _loss(kind: str, logged: Sequence[float], value: float) -> float:
    """Compute the loss as `docs/architecture.md` defines it by kind of label."""
    score, *classes = logged
    if kind == "regression":
        return (score - value) ** 2
    if kind == "count":
        mean = max(score, _MEAN_FLOOR)
        return 2 * ((value * math.log(value / mean) if value > 0 else 0.0) - (value - mean))
    shares = [min(max(share, _FLOOR), 1 - _FLOOR) for share in (classes or [1 - score, score])]
    return math.log(math.fsum(shares)) - math.log(shares[int(value)])

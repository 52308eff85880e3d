"""Sums of closed windows, made a second time in the plainest way: row after row, by the corrected outcomes."""

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
_Place = tuple[int, str]
"""A window's end and a release."""


@dataclass
class Sums:
    """Over the joined predictions that a release scored in a window."""

    count: int = 0
    loss: float = 0.0
    outcome: float = 0.0

    def equals(self, other: Sums) -> bool:
        """Whether both are the same, sums to 1e-6 of their size."""
        close = (
            math.isclose(mine, theirs, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
            for mine, theirs in ((self.loss, other.loss), (self.outcome, other.outcome))
        )
        return self.count == other.count and all(close)


def told_windows(events: Iterable[Envelope[Any]]) -> dict[_Place, Sums]:
    """What monitoring last said of each release that has rows in a window: as it closed, or as it was restated."""
    closed: dict[int, Iterable[monitoring.ReleaseWindow]] = {}
    restated: dict[int, tuple[str, Iterable[monitoring.ReleaseWindow]]] = {}
    for data in (event.data for event in events):
        if isinstance(data, monitoring.WindowClosed):
            closed[data.end_ms] = data.releases
        elif isinstance(data, monitoring.WindowRestated):
            newest = (data.known_by_window_id, data.after)
            restated[data.end_ms] = max(restated.get(data.end_ms, newest), newest, key=lambda each: each[0])
    newest_sums = {**closed, **{end_ms: after for end_ms, (_, after) in restated.items()}}
    return {
        (end_ms, each.release_id): Sums(each.count, each.loss_sum, each.outcome_sum)
        for end_ms, releases in newest_sums.items()
        for each in releases
        if each.count
    }


def recount_windows(
    predictions: Predictions, outcomes: Sequence[tuple[str, int, float]], loop: LoopDefinition, until_ms: int
) -> dict[_Place, Sums]:
    """The same from the log and the outcomes (key, when visible, value) in order, as they are known at a watermark."""
    horizon_ms, block_ms = to_ms(loop.label.horizon), to_ms(loop.monitoring.block)
    first, value_of = _as_corrected(outcomes, to_ms(loop.label.correction_span), until_ms)
    found: dict[_Place, Sums] = defaultdict(Sums)
    rows = zip(predictions.key, predictions.decision_time_ms, predictions.probe, predictions.scores, strict=True)
    for key, decided_ms, probe, scores in rows:
        if probe or key not in first or first[key] > decided_ms + horizon_ms:
            continue
        end_ms = (max(first[key], int(decided_ms)) // block_ms + 1) * block_ms
        for release, said in scores.items():
            sums = found[end_ms, release]
            sums.count += 1
            sums.loss += _loss(loop.label.kind, said, value_of[key])
            sums.outcome += _outcome(said, value_of[key])
    return dict(found)


def window_check(said: Mapping[_Place, Sums], found: Mapping[_Place, Sums]) -> Check:
    """One check over all windows and releases."""
    places = sorted(said.keys() | found.keys())
    nothing = Sums()
    wrong = [each for each in places if not said.get(each, nothing).equals(found.get(each, nothing))]
    detail = ""
    if wrong:
        first = wrong[0]
        detail = f"first {first[1]} in the window to {first[0]}: said {said.get(first)}, found {found.get(first)}"
    return Check("sums of windows by release", len(places), len(wrong), detail)


def _as_corrected(
    outcomes: Sequence[tuple[str, int, float]], span_ms: int, until_ms: int
) -> tuple[dict[str, int], dict[str, float]]:
    """When each key's first outcome was visible, and the value that the key has at last."""
    first: dict[str, int] = {}
    value_of: dict[str, float] = {}
    for key, at, value in outcomes:
        if at < until_ms and (key not in first or at < first[key] + span_ms):
            first.setdefault(key, at)
            value_of[key] = value
    return first, value_of


def _outcome(said: Sequence[float], value: float) -> float:
    """The outcome itself, or whether the likeliest class came true."""
    classes = said[1:]
    return float(classes.index(max(classes)) == value) if classes else value


def _loss(kind: str, said: Sequence[float], value: float) -> float:
    """As `docs/architecture.md` states it by kind of label."""
    score, *classes = said
    if kind == "regression":
        return (score - value) ** 2
    if kind == "count":
        mean = max(score, _MEAN_FLOOR)
        return 2 * ((value * math.log(value / mean) if value > 0 else 0.0) - (value - mean))
    shares = [min(max(each, _FLOOR), 1 - _FLOOR) for each in (classes or [1 - score, score])]
    return math.log(math.fsum(shares)) - math.log(shares[int(value)])

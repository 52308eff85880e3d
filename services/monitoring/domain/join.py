"""The outcome join of one loop: decides which outcome answers which prediction when a window closes.

A prediction key has one outcome: the first in order of (visible time, event time, id). Arrival order does not matter.
An outcome answers the predictions of its key that were decided at or before its event time. It is in time if it
becomes visible within the horizon of the decision.

A request may name a decision time in the past. Its prediction is evaluated only if its outcome could not be known yet:
if the outcome was visible before the prediction was, the prediction is counted as backdated.

An outcome from before every decision about its key, such as "pending", answers nothing. It does not stand in the way:
the first outcome from after a decision takes its place.

A later outcome with another value corrects it: the key's outcome takes the new value and keeps its time, so joined,
late and missing predictions stay so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from services.monitoring.domain.rows import OutcomeRow, Pair, Prediction

_Row = TypeVar("_Row", Prediction, OutcomeRow)

REMEMBERED_HORIZONS = 4
"""Outcomes and predictions are forgotten this many horizons after they become visible; then a repeat counts as new."""


@dataclass(slots=True)
class JoinCounts:
    """Number of predictions and outcomes by result in one window."""

    joined: int = 0
    late: int = 0
    missing: int = 0
    duplicate: int = 0
    corrected: int = 0
    unpredicted: int = 0
    overdue: int = 0
    backdated: int = 0


@dataclass(frozen=True, slots=True)
class Correction:
    """A change of a key's outcome since the previous window closed."""

    outcome: OutcomeRow
    """With the new value."""
    was: float


@dataclass
class JoinResult:
    """Result of closing one window."""

    predictions: list[Prediction] = field(default_factory=list)
    """Predictions that became visible in the window, in order of (decision time, id)."""
    pairs: list[Pair] = field(default_factory=list)
    """In order of (event time, prediction id)."""
    settled: list[str] = field(default_factory=list)
    """Ids of predictions that no longer wait for an outcome."""
    kept: list[str] = field(default_factory=list)
    """Row ids of the outcomes remembered for their key."""
    dropped: list[str] = field(default_factory=list)
    """Row ids of the outcomes that are not remembered: later ones of their key."""
    revalued: dict[str, OutcomeRow] = field(default_factory=dict)
    """Corrected outcomes with their new values, by key."""
    corrections: list[Correction] = field(default_factory=list)
    """Those that were known before this close and have another value now, in order of key."""
    counts: JoinCounts = field(default_factory=JoinCounts)


@dataclass
class _KeyState:
    """What the join remembers of a key."""

    outcome: OutcomeRow | None = None
    open: list[Prediction] = field(default_factory=list)
    """Predictions that wait for an outcome."""
    predicted: list[tuple[int, int]] = field(default_factory=list)
    """Visible time and decision time of each of its predictions."""

    def was_predicted(self, at_ms: int) -> bool:
        """Return whether the key had a prediction decided at or before ``at_ms``."""
        return any(decision_ms <= at_ms for _, decision_ms in self.predicted)

    def forget(self, limit_ms: int) -> bool:
        """Drop what became visible before the limit; return whether anything remains."""
        if self.outcome is not None and self.outcome.visible_ms < limit_ms:
            self.outcome = None
        self.predicted = [times for times in self.predicted if times[0] >= limit_ms]
        return self.outcome is not None or bool(self.predicted)


class OutcomeJoin:
    """Predictions and outcomes of one loop, for as long as they can change a window. Not thread-safe."""

    def __init__(self, horizon_ms: int, *, corrections_ms: int, block_ms: int) -> None:
        self._horizon_ms = horizon_ms
        self._corrections_ms = corrections_ms
        self._block_ms = block_ms
        self._keys: dict[str, _KeyState] = {}
        self._seen: dict[str, int] = {}
        self._predictions: list[Prediction] = []
        self._outcomes: list[OutcomeRow] = []

    @property
    def memory_ms(self) -> int:
        """How long a key is remembered: at least as long as a window with it can be restated."""
        return max(REMEMBERED_HORIZONS * self._horizon_ms, self._horizon_ms + self._corrections_ms + self._block_ms)

    def add_predictions(self, rows: Iterable[Prediction]) -> list[Prediction]:
        """Add predictions; return the new ones. A later record of a known id is ignored."""
        fresh = []
        for row in rows:
            if row.prediction_id not in self._seen:
                self._seen[row.prediction_id] = row.visible_ms
                fresh.append(row)
        self._predictions += fresh
        return fresh

    def add_outcomes(self, rows: Iterable[OutcomeRow]) -> None:
        """Add outcomes. The caller has removed redelivered ones."""
        self._outcomes += rows

    def restore_settled(self, prediction_id: str, key: str, decision_ms: int, visible_ms: int) -> None:
        """Restore, after a restart, a prediction that no longer waits for an outcome."""
        self._seen[prediction_id] = visible_ms
        self._key(key).predicted.append((visible_ms, decision_ms))

    def restore_open(self, row: Prediction) -> None:
        """Restore, after a restart, a prediction of a closed window that still waits for its outcome."""
        self.restore_settled(row.prediction_id, row.key, row.decision_ms, row.visible_ms)
        self._key(row.key).open.append(row)

    def restore_outcome(self, row: OutcomeRow) -> None:
        """Restore, after a restart, the outcome that is remembered for its key."""
        self._key(row.key).outcome = row

    def releases_before(self, end_ms: int) -> set[str]:
        """Return the releases that scored the window that ends at ``end_ms``, or a prediction that still waits."""
        waiting = [row for key in self._keys.values() for row in key.open]
        rows = [*waiting, *(row for row in self._predictions if row.visible_ms < end_ms)]
        return {score.release_id for row in rows for score in row.scores}

    def close(self, end_ms: int) -> JoinResult:
        """Join what became visible before ``end_ms``, and give up predictions whose outcome is missing.

        The watermarks of predictions and of outcomes must both have reached ``end_ms``.
        """
        result = JoinResult()
        result.predictions = sorted(_take_visible(self._predictions, end_ms), key=lambda row: row.order)
        for prediction in result.predictions:
            self._open(prediction, result)
        before: dict[str, OutcomeRow] = {}
        for outcome in sorted(_take_visible(self._outcomes, end_ms), key=lambda row: row.order):
            self._decide(outcome, result, before)
        self._revalue(before, result)
        self._give_up(end_ms, result)
        result.pairs.sort(key=lambda pair: pair.order)
        result.settled.sort()
        return result

    def forget(self, end_ms: int) -> int:
        """Drop what is older than the memory at ``end_ms``; return the time limit."""
        limit = end_ms - self.memory_ms
        self._seen = {event_id: time_ms for event_id, time_ms in self._seen.items() if time_ms >= limit}
        self._keys = {name: key for name, key in self._keys.items() if key.forget(limit)}
        return limit

    def _open(self, prediction: Prediction, result: JoinResult) -> None:
        key = self._key(prediction.key)
        key.predicted.append((prediction.visible_ms, prediction.decision_ms))
        if key.outcome is not None and self._answers(key.outcome, prediction):
            self._pair(prediction, key.outcome, result)
        else:
            key.open.append(prediction)

    def _decide(self, outcome: OutcomeRow, result: JoinResult, before: dict[str, OutcomeRow]) -> None:
        key = self._key(outcome.key)
        if key.outcome is not None and self._precedes_decisions(key.outcome, outcome, key):
            _drop(key.outcome, result)
            key.outcome = None
        if key.outcome is not None:
            result.dropped.append(outcome.row_id)
            if self._corrects(outcome, key.outcome, result):
                before.setdefault(outcome.key, key.outcome)
                key.outcome = replace(key.outcome, value=outcome.value)
            return
        key.outcome = outcome
        result.kept.append(outcome.row_id)
        answered = [prediction for prediction in key.open if self._answers(outcome, prediction)]
        for prediction in answered:
            self._pair(prediction, outcome, result)
        key.open = [prediction for prediction in key.open if prediction not in answered]
        if not answered:
            predicted = key.was_predicted(outcome.event_ms)
            result.counts.late += predicted
            result.counts.unpredicted += not predicted

    def _precedes_decisions(self, current: OutcomeRow, outcome: OutcomeRow, key: _KeyState) -> bool:
        """Return whether the current outcome is from before all decisions, and the new one from after one of them."""
        return not key.was_predicted(current.event_ms) and key.was_predicted(outcome.event_ms)

    def _corrects(self, outcome: OutcomeRow, current: OutcomeRow, result: JoinResult) -> bool:
        """Count a further outcome of a key; return whether its value replaces the current one."""
        if outcome.value == current.value:
            result.counts.duplicate += 1
            return False
        result.counts.corrected += 1
        in_time = outcome.visible_ms < current.visible_ms + self._corrections_ms
        result.counts.overdue += not in_time
        return in_time

    def _revalue(self, before: Mapping[str, OutcomeRow], result: JoinResult) -> None:
        """Give the pairs of this close the newest values of their keys, and list the corrections for closed windows."""
        if not before:
            return
        result.revalued = {name: now for name in sorted(before) if (now := self._key(name).outcome) is not None}
        result.pairs = [
            Pair(pair.prediction, result.revalued.get(pair.prediction.key, pair.outcome)) for pair in result.pairs
        ]
        new = set(result.kept)
        result.corrections = [
            Correction(now, before[name].value)
            for name, now in result.revalued.items()
            if now.row_id not in new and now.value != before[name].value
        ]

    def _answers(self, outcome: OutcomeRow, prediction: Prediction) -> bool:
        return (
            prediction.decision_ms <= outcome.event_ms
            and outcome.visible_ms <= prediction.decision_ms + self._horizon_ms
        )

    def _give_up(self, end_ms: int, result: JoinResult) -> None:
        for key in self._keys.values():
            if not key.open:
                continue
            expired = [prediction for prediction in key.open if prediction.decision_ms + self._horizon_ms < end_ms]
            backdated = sum(row.visible_ms > row.decision_ms + self._horizon_ms for row in expired)
            result.counts.backdated += backdated
            result.counts.missing += len(expired) - backdated
            result.settled += [prediction.prediction_id for prediction in expired]
            if expired:
                key.open = [prediction for prediction in key.open if prediction not in expired]

    def _pair(self, prediction: Prediction, outcome: OutcomeRow, result: JoinResult) -> None:
        result.settled.append(prediction.prediction_id)
        if outcome.visible_ms < prediction.visible_ms:
            result.counts.backdated += 1
            return
        result.pairs.append(Pair(prediction, outcome))
        result.counts.joined += 1

    def _key(self, name: str) -> _KeyState:
        return self._keys.setdefault(name, _KeyState())


def _drop(outcome: OutcomeRow, result: JoinResult) -> None:
    """Forget a key's outcome, which an earlier or this close has kept."""
    if outcome.row_id in result.kept:
        result.kept.remove(outcome.row_id)
    result.dropped.append(outcome.row_id)


def _take_visible(rows: list[_Row], end_ms: int) -> list[_Row]:
    """Remove the rows that became visible before ``end_ms``, and return them."""
    visible = [row for row in rows if row.visible_ms < end_ms]
    rows[:] = [row for row in rows if row.visible_ms >= end_ms]
    return visible

"""The prediction log as columns, decoded once for all checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftloop.bus.ports import Record
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.events.prediction_writers import CONTROL, PredictionWatermarks

_SERVED = predictions.PredictionServed.DESCRIPTOR.full_name.encode()
_CONTROL = {message.DESCRIPTOR.full_name.encode(): message for message in CONTROL}


@dataclass(frozen=True)
class Predictions:
    """Unique predictions of one loop sorted by (decision time, id). Arrays have one entry per prediction."""

    id: NDArray[np.object_]
    key: NDArray[np.object_]
    release: NDArray[np.object_]
    arm: NDArray[np.object_]
    input_digest: NDArray[np.object_]
    decision_time_ms: NDArray[np.int64]
    visible_ms: NDArray[np.int64]
    """Decision time, or the prediction watermark of its partition if that was already later."""
    feature_watermark_ms: NDArray[np.int64]
    epoch: NDArray[np.int64]
    probe: NDArray[np.bool_]
    score: NDArray[np.float64]
    numeric: NDArray[np.float64]
    """[n, F]; NaN is missing."""
    categorical: NDArray[np.object_]
    """[n, C]"""
    scores: list[dict[str, list[float]]]
    """By each release that scored the request: the score, then the score of each class if the loop has classes."""
    answered_wall_ms: NDArray[np.int64]
    """UTC milliseconds of each answer, int64 [m]: a repeated request was answered again."""
    repeated: int
    """Records with a prediction id that was read before."""

    def __len__(self) -> int:
        return len(self.id)

    def answered_since(self, wall_ms: int) -> int:
        """Return the number of answers from a wall-clock time on."""
        return int((self.answered_wall_ms >= wall_ms).sum())

    def take(self, chosen: NDArray[Any]) -> Predictions:
        """Return some of them, by mask or index."""
        index = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        kept = {"answered_wall_ms": self.answered_wall_ms}
        rows = {
            name: value for name, value in self.__dict__.items() if isinstance(value, np.ndarray) and name not in kept
        }
        arrays = {name: value[index] for name, value in rows.items()} | kept
        return Predictions(**arrays, scores=[self.scores[at] for at in index], repeated=self.repeated)


def read_predictions(records: Iterable[Record], loop: str) -> Predictions:
    """Decode the records of the prediction topic.

    Raises:
        ValueError: predictions of one loop hold different numbers of inputs.
    """
    by_id: dict[str, predictions.PredictionServed] = {}
    visible_ms: dict[str, int] = {}
    watermarks = PredictionWatermarks(0)
    answers: set[tuple[str, int]] = set()
    repeated = 0
    for record in records:
        if control := _CONTROL.get(record.header("ce_type") or b""):
            message: Any = control.FromString(record.value or b"")
            if message.loop == loop:
                watermarks.apply(record.partition, message)
        if record.header("ce_type") != _SERVED:
            continue
        served = predictions.PredictionServed.FromString(record.value or b"")
        if served.loop == loop:
            repeated += served.prediction_id in by_id
            by_id.setdefault(served.prediction_id, served)
            seen_ms = max(served.decision_time_ms, watermarks.newest.get(record.partition, 0))
            visible_ms.setdefault(served.prediction_id, seen_ms)
            answers.add((served.prediction_id, served.served_wall_time_ms))
    rows = sorted(by_id.values(), key=lambda row: (row.decision_time_ms, row.prediction_id))
    times = np.array([visible_ms[row.prediction_id] for row in rows], dtype=np.int64)
    return _columns(rows, times, np.array([at for _, at in answers], dtype=np.int64), repeated)


def _columns(
    rows: list[predictions.PredictionServed],
    visible_ms: NDArray[np.int64],
    answered_wall_ms: NDArray[np.int64],
    repeated: int,
) -> Predictions:
    def text(name: str) -> NDArray[np.object_]:
        return np.array([getattr(row, name) for row in rows], dtype=np.object_)

    def integers(name: str) -> NDArray[np.int64]:
        return np.array([getattr(row, name) for row in rows], dtype=np.int64)

    inputs = len(rows[0].numeric) if rows else 0
    numeric = np.empty((len(rows), inputs), dtype=np.float64)
    categorical = np.empty((len(rows), len(rows[0].categorical) if rows else 0), dtype=np.object_)
    for at, row in enumerate(rows):  # lists of a year's rows would take a gigabyte
        if len(row.numeric) != inputs:
            raise ValueError(f"{row.prediction_id} holds {len(row.numeric)} numeric inputs, others {inputs}")
        numeric[at] = row.numeric
        categorical[at] = list(row.categorical)
    return Predictions(
        id=text("prediction_id"),
        key=text("key"),
        release=text("release_id"),
        arm=text("arm"),
        input_digest=text("input_digest"),
        decision_time_ms=integers("decision_time_ms"),
        visible_ms=visible_ms,
        feature_watermark_ms=integers("feature_watermark_ms"),
        epoch=integers("route_epoch"),
        probe=np.array([row.purpose == predictions.PROBE for row in rows], dtype=np.bool_),
        score=np.array([row.score for row in rows], dtype=np.float64),
        numeric=numeric,
        categorical=categorical,
        scores=[{score.release_id: [score.score, *score.class_scores] for score in row.scores} for row in rows],
        answered_wall_ms=answered_wall_ms,
        repeated=repeated,
    )

"""Rows that the join works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReleaseScore:
    """What one release made of a request; ``role`` is champion or challenger."""

    release_id: str
    role: str
    score: float
    """Of several classes the probability of the likeliest one."""
    classes: tuple[float, ...] = ()
    """Of several classes the probability of each."""

    @property
    def scores(self) -> float | tuple[float, ...]:
        """What losses are made of."""
        return self.classes or self.score


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """An answered prediction. Times are UTC milliseconds since the epoch."""

    prediction_id: str
    key: str
    decision_ms: int
    visible_ms: int
    """Decision time, or the prediction watermark of its partition where the record came behind it."""
    release_id: str
    """The release that answered."""
    scores: tuple[ReleaseScore, ...]
    input_digest: str
    numeric: Floats
    """Inputs of the answering release, float64 [F], in its order; NaN is missing."""
    categorical: tuple[str, ...]

    @property
    def order(self) -> tuple[int, str]:
        """Predictions are taken in this order, however they came."""
        return (self.decision_ms, self.prediction_id)

    @property
    def champion(self) -> str:
        """Release that was champion, or empty."""
        return next((each.release_id for each in self.scores if each.role == "champion"), "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What turned out. Times are UTC milliseconds since the epoch."""

    row_id: str
    """Where it stood in the raw topic: unique, even where a producer's id is not."""
    event_id: str
    key: str
    event_ms: int
    visible_ms: int
    """Event time, or the watermark of its raw partition where it came behind it."""
    value: float

    @property
    def order(self) -> tuple[int, int, str, str]:
        """Outcomes are taken in this order, however they came."""
        return (self.visible_ms, self.event_ms, self.event_id, self.row_id)


@dataclass(frozen=True, slots=True)
class JoinedRow:
    """What is kept of a pair once its window has closed: enough to sum it up again."""

    key: str
    event_ms: int
    """Of the outcome."""
    value: float
    scores: tuple[ReleaseScore, ...]

    @property
    def outcome(self) -> tuple[str, int]:
        """Which outcome it is: a key that was forgotten may have another one since, at another time."""
        return (self.key, self.event_ms)


@dataclass(frozen=True, slots=True)
class Pair:
    """A prediction and the outcome that answers it."""

    prediction: Prediction
    outcome: Outcome

    @property
    def order(self) -> tuple[int, str]:
        """Sums are taken in this order, so that they are bit-equal however the rows came."""
        return (self.outcome.event_ms, self.prediction.prediction_id)

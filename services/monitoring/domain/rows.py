"""Rows of the join."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReleaseScore:
    """The score of one release for a request; ``role`` is champion or challenger."""

    release_id: str
    role: str
    score: float
    """With several classes: the probability of the likeliest class."""
    classes: tuple[float, ...] = ()
    """With several classes: the probability of each class."""

    @property
    def scores(self) -> float | tuple[float, ...]:
        """The input of the loss."""
        return self.classes or self.score


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """An answered prediction. Times are UTC milliseconds since the epoch."""

    prediction_id: str
    key: str
    decision_ms: int
    visible_ms: int
    """Decision time, or the prediction watermark of its partition if that was already later."""
    release_id: str
    """The release that answered."""
    scores: tuple[ReleaseScore, ...]
    input_digest: str
    numeric: Floats
    """Inputs of the answering release, float64 [F], in its order; NaN is missing."""
    categorical: tuple[str, ...]
    sliced: Mapping[str, str] = field(default_factory=dict)
    """Inputs of slices that the answering release does not use, as text."""

    @property
    def order(self) -> tuple[int, str]:
        """Sort key: results do not depend on the order of arrival."""
        return (self.decision_ms, self.prediction_id)

    @property
    def champion(self) -> str:
        """The champion release, or empty."""
        return next((score.release_id for score in self.scores if score.role == "champion"), "")


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """The observed value of a label. Times are UTC milliseconds since the epoch."""

    row_id: str
    """Position in the raw topic: unique even if a producer's ids are not."""
    event_id: str
    key: str
    event_ms: int
    visible_ms: int
    """Event time, or the watermark of its raw partition if that was already later."""
    value: float

    @property
    def order(self) -> tuple[int, int, str, str]:
        """Sort key: results do not depend on the order of arrival."""
        return (self.visible_ms, self.event_ms, self.event_id, self.row_id)


@dataclass(frozen=True, slots=True)
class JoinedRow:
    """The part of a pair that is stored after its window closed: enough to compute its sums again."""

    key: str
    event_ms: int
    """Event time of the outcome."""
    value: float
    scores: tuple[ReleaseScore, ...]

    @property
    def outcome(self) -> tuple[str, int]:
        """Identity of the outcome: a key that was forgotten can have another outcome at another time."""
        return (self.key, self.event_ms)


@dataclass(frozen=True, slots=True)
class Pair:
    """A prediction and the outcome that answers it."""

    prediction: Prediction
    outcome: OutcomeRow

    @property
    def order(self) -> tuple[int, str]:
        """Sums add up in this order, so they are equal to the last bit for any order of arrival."""
        return (self.outcome.event_ms, self.prediction.prediction_id)

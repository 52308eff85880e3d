"""Rows, references and events for tests. Times are in hours of event time."""

from __future__ import annotations

import numpy as np

from services.monitoring.domain.psi import Grid, Reference
from services.monitoring.domain.rows import OutcomeRow, Prediction, ReleaseScore

HOUR = 3_600_000
DAY = 24 * HOUR
DIGEST = "digest-of-x-and-colour"


def prediction(
    key: str,
    hour: float,
    score: float = 0.5,
    *,
    name: str = "",
    champion: str = "r-1",
    challenger: tuple[str, float] | None = None,
    answered_by: str = "",
    x: float = 0.0,
    colour: str = "red",
    visible: float | None = None,
) -> Prediction:
    scores = [ReleaseScore(champion, "champion", score)]
    if challenger is not None:
        scores.append(ReleaseScore(challenger[0], "challenger", challenger[1]))
    return Prediction(
        prediction_id=name or f"p-{key}",
        key=key,
        decision_ms=round(hour * HOUR),
        visible_ms=round((hour if visible is None else visible) * HOUR),
        release_id=answered_by or champion,
        scores=tuple(scores),
        input_digest=DIGEST,
        numeric=np.array([x]),
        categorical=(colour,),
    )


def outcome(key: str, hour: float, value: float = 1.0, *, name: str = "", visible: float | None = None) -> OutcomeRow:
    row = name or f"o-{key}-{hour}-{value}"
    seen = hour if visible is None else visible
    return OutcomeRow(f"raw/0/{row}", row, key, round(hour * HOUR), round(seen * HOUR), value)


def reference(release: str = "r-1") -> Reference:
    """One numeric input ``x`` on the grid -1, 1 and one categorical input ``colour``."""
    grid = Grid(np.array([-1.0, 1.0]), np.array([20, 60, 20]), 0)
    score = Grid(np.array([0.5]), np.array([50, 50]), 0)
    return Reference(release, DIGEST, ("x",), ("colour",), {"x": grid}, score)

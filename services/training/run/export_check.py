"""Compares the exported model with the trained one."""

from __future__ import annotations

import numpy as np

from driftloop.model.labels import LabelKind
from driftloop.model.onnx_session import open_session
from driftloop.model.scores import Floats, as_scores, finite_rows
from driftloop.model.trainer import TrainingSet
from services.training.errors import ModelError

TOLERANCE = 1e-6
"""Maximum difference of the export's scores from the trainer's, relative to max(1, |score|)."""


def checked_scores(model: bytes, data: TrainingSet, expected: Floats, threads: int) -> Floats:
    """Return an ONNX model's scores, float64 [n], or [n, K] with K classes.

    Raises:
        ModelError: scores are not finite, have the wrong shape, are not probabilities of the classes, or differ from
            ``expected`` by more than the tolerance.
    """
    score = run(model, data, threads)
    if not np.isfinite(score).all():
        raise ModelError(f"{int((~finite_rows(score)).sum())} of {len(score)} scores are not finite")
    if expected.shape != score.shape:
        raise ModelError(
            f"predictions have shape {list(expected.shape)}, but scores have {list(score.shape)}: they must be equal"
        )
    if data.classes and not _distributions(score):
        raise ModelError(f"each row must have probabilities of its {len(data.classes)} classes that sum to 1")
    difference = float((np.abs(score - expected) / np.maximum(1.0, np.abs(expected))).max(initial=0.0))
    if not difference <= TOLERANCE:
        raise ModelError(f"the ONNX export differs from the trained model by {difference:.3g}, above {TOLERANCE:g}")
    return score


def check_range(score: Floats, kind: LabelKind) -> None:
    """Check that scores are finite and possible for a label of this kind.

    Raises:
        ModelError: they are not.
    """
    if not np.isfinite(score).all():
        raise ModelError(f"{int((~finite_rows(score)).sum())} of {len(score)} predictions are not finite")
    low, high = float(score.min(initial=0.0)), float(score.max(initial=0.0))
    if kind in ("binary", "multiclass") and (low < -TOLERANCE or high > 1 + TOLERANCE):
        what = "a sigmoid" if kind == "binary" else "a softmax"
        raise ModelError(f"scores from {low:.3g} to {high:.3g} are not probabilities; apply {what} to logits")
    if kind == "count" and low < -TOLERANCE:
        raise ModelError(f"the score {low:.3g} is not an expected count; apply `exp` to logarithms")


def run(model: bytes, data: TrainingSet, threads: int) -> Floats:
    """Return an ONNX model's scores on some rows, float64 [n], or [n, K] with K classes.

    Raises:
        ModelError: the scores have the wrong shape.
    """
    session = open_session(model, threads)
    arrays = {"numeric": data.numeric, "categorical": data.categorical}
    (score,) = session.run(["score"], {value.name: arrays[value.name] for value in session.get_inputs()})
    try:
        return as_scores(score, len(data.label), len(data.classes))
    except ValueError as error:
        raise ModelError(str(error)) from error


def _distributions(score: Floats) -> bool:
    sums = np.abs(score.sum(axis=1) - 1.0) <= TOLERANCE
    return bool(sums.all()) and float(score.min(initial=0.0)) >= -TOLERANCE

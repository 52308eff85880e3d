"""Losses per row by kind of label, shared by training, evaluation and monitoring.

Scores of a scalar kind are float64 [n]. Scores of `multiclass` are float64 [n, K], the probabilities of K classes in
the order of ``label.classes``; its labels are float64 [n], the index of the true class.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftloop.model.scores import Floats, confidence

LabelKind = Literal["binary", "regression", "count", "multiclass"]

PROBABILITY_FLOOR = 1e-7
"""Probabilities are clipped to [floor, 1 - floor], so a row's log loss is at most 16.1."""
MEAN_FLOOR = 1e-9
"""Least expected count in the Poisson deviance."""


def losses(kind: LabelKind, score: Floats, label: Floats) -> Floats:
    """Return the loss of each row, float64 [n].

    Log loss in nats (binary), squared error (regression), unit Poisson deviance (count) or multiclass log loss. Poisson
    deviance: McCullagh and Nelder, Generalized Linear Models (1989), table 2.1. Multiclass log loss: -log p[label],
    with p clipped like the binary one and rescaled to sum to 1; NaN if the label is not a class index.
    """
    if kind == "binary":
        p = np.clip(score, PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR)
        return np.asarray(-(label * np.log(p) + (1.0 - label) * np.log1p(-p)))
    if kind == "regression":
        return np.asarray((score - label) ** 2)
    if kind == "multiclass":
        return _class_losses(score, label)
    mean = np.maximum(score, MEAN_FLOOR)
    logs = np.log(np.where(label > 0, label, 1.0) / mean)
    return np.asarray(2.0 * (np.where(label > 0, label * logs, 0.0) - (label - mean)))


def top_label(kind: LabelKind, score: Floats, label: Floats) -> tuple[Floats, Floats]:
    """Return score and label as one number per row, float64 [n] each; their difference is the residual.

    A scalar kind keeps both. Multiclass returns the top class's probability, called confidence, and 1 if that class is
    the label, else 0. Scores are calibrated if the two have the same mean (Guo et al., On Calibration of Modern Neural
    Networks, 2017, section 2; Gupta and Ramdas, Top-label calibration, 2022, section 1).
    """
    if kind != "multiclass":
        return score, label
    return confidence(score), (score.argmax(axis=1) == label).astype(np.float64)


def constant_scores(kind: LabelKind, label: Floats, like: Floats) -> Floats:
    """Return the constant scores with the least loss, in the shape of ``like``.

    This is the mean label, or for multiclass the share of each class.
    """
    if kind != "multiclass":
        return np.full(len(like), label.mean())
    classes = like.shape[1]
    count = np.bincount(label[_is_class(label, classes)].astype(np.int64), minlength=classes)
    return np.broadcast_to(count / len(label), like.shape)


def _class_losses(score: Floats, label: Floats) -> Floats:
    p = np.clip(score, PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR)
    known = _is_class(label, score.shape[1])
    index = np.where(known, label, 0.0).astype(np.int64)
    chosen = np.take_along_axis(p, index[:, None], axis=1)[:, 0]
    return np.where(known, np.log(p.sum(axis=1)) - np.log(chosen), np.nan)


def _is_class(label: Floats, classes: int) -> NDArray[np.bool_]:
    return np.asarray((label >= 0) & (label < classes) & (label == np.floor(label)))

"""Losses per row by kind of label, shared by training, evaluation and monitoring.

Scores of a scalar kind are float64 [n]. Scores of `multiclass` are float64 [n, K], the probabilities of K classes in
the order of ``label.classes``; its labels are float64 [n], the index of the true class.
"""

from __future__ import annotations

import numpy as np

from driftloop.model.labels import LabelKind, valid_outcomes
from driftloop.model.scores import Floats, confidence, finite_rows

PROBABILITY_FLOOR = 1e-7
"""Probabilities are clipped to [floor, 1 - floor], so a row's log loss is at most 16.1."""
MEAN_FLOOR = 1e-9
"""Least expected count in the Poisson deviance."""


def losses(kind: LabelKind, score: Floats, label: Floats) -> Floats:
    """Return the loss of each row, float64 [n]; at least 0, and NaN if the outcome or a score of the row is not valid.

    Log loss in nats (binary), squared error (regression), unit Poisson deviance (count) or multiclass log loss. Poisson
    deviance: McCullagh and Nelder, Generalized Linear Models (1989), table 2.1. Multiclass log loss: -log p[label],
    with p clipped like the binary one and rescaled to sum to 1. Valid outcomes: `valid_outcomes`; valid scores are
    finite.
    """
    classes = score.shape[1] if kind == "multiclass" else 0
    known = valid_outcomes(kind, label, classes) & finite_rows(score)
    with np.errstate(all="ignore"):  # rows that are not valid, and the infinite loss of a huge score
        return np.where(known, _losses(kind, score, np.where(known, label, 0.0)), np.nan)


def _losses(kind: LabelKind, score: Floats, label: Floats) -> Floats:
    if kind == "regression":
        return np.asarray((score - label) ** 2)
    if kind == "count":
        mean = np.maximum(score, MEAN_FLOOR)
        logs = np.log(np.where(label > 0, label, 1.0) / mean)
        return np.maximum(2.0 * (label * logs - (label - mean)), 0.0)  # rounding alone makes it negative
    p = np.clip(score, PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR)
    if kind == "binary":
        return np.asarray(-(label * np.log(p) + (1.0 - label) * np.log1p(-p)))
    chosen = np.take_along_axis(p, label.astype(np.int64)[:, None], axis=1)[:, 0]
    return np.asarray(np.log(p.sum(axis=1)) - np.log(chosen))


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
    count = np.bincount(label[valid_outcomes(kind, label, classes)].astype(np.int64), minlength=classes)
    return np.broadcast_to(count / len(label), like.shape)

"""Quality of scores: loss against the base rate, calibration, AUC and accuracy."""

from __future__ import annotations

import numpy as np

from driftloop.model.labels import LabelKind
from driftloop.model.losses import constant_scores, losses, top_label
from driftloop.model.scores import Floats


def auc(score: Floats, label: Floats) -> float:
    """Return the chance that a positive row scores above a negative one; ties count half. NaN if one kind is absent.

    Computed from the rank sum: Hanley and McNeil, The meaning and use of the area under a ROC curve (1982).
    """
    positive = label > 0.5
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if positives == 0 or negatives == 0:
        return float("nan")
    _, level, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    above = rank[level][positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def metrics(kind: LabelKind, score: Floats, label: Floats, training_label: Floats) -> dict[str, float]:
    """Return metrics on held-out rows by name, without those that are not finite.

    ``base_loss`` is the loss of a constant prediction: the mean training label, or the class shares in training.
    ``calibration`` is the mean of (score - label). With classes, score is the probability of the likeliest class, label
    is
    1 if that class is correct, and ``base_rate`` is the training share of the most frequent class.
    """
    base = constant_scores(kind, training_label, score)
    predicted, observed = top_label(kind, score, label)
    values = {
        "loss": float(losses(kind, score, label).mean()),
        "base_loss": float(losses(kind, base, label).mean()),
        "base_rate": float(base[0].max()),
        "label_mean": float(observed.mean()),
        "score_mean": float(predicted.mean()),
        "calibration": float((predicted - observed).mean()),
    }
    if kind == "binary":
        values["auc"] = auc(score, label)
    if kind == "multiclass":
        values["accuracy"] = float(observed.mean())
    return {name: value for name, value in values.items() if np.isfinite(value)}

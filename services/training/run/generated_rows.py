"""Generates labelled rows that a loop's rules allow, to try its trainer. Equal arguments give equal rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from driftloop.loop.definition import FieldRule, LoopDefinition
from driftloop.model.trainer import TrainingSet

Floats = NDArray[np.float64]

_MISSING = 0.05
"""Share of missing values."""
_WORDS = ("blue", "green", "red", "yellow")
_SCALE = 100.0


def generated_rows(
    definition: LoopDefinition, features: Sequence[tuple[str, str]], rows: int, seed: int, *, unseen: bool = False
) -> TrainingSet:
    """Return rows with the model's inputs in a run's order.

    ``features``: name and type (``double`` or ``string``) of each feature. The label depends on the first number. With
    ``unseen``, strings are such that a trainer has not met, and the first rows have no values at all.
    """
    random = np.random.default_rng(seed)
    prediction = definition.prediction
    rules = definition.events[prediction.source].rules
    given = [(name, value) for name, value in prediction.inputs.items() if value.model]
    numbers = [(name, FieldRule(min=0.0)) for name, dtype in features if dtype == "double"]
    numbers += [(name, rules.get(i.column or name, FieldRule())) for name, i in given if i.type != "string"]
    texts = [(name, FieldRule()) for name, dtype in features if dtype == "string"]
    texts += [(name, rules.get(i.column or name, FieldRule())) for name, i in given if i.type == "string"]
    drawn = random.random((rows, max(1, len(numbers))))
    columns = [_spread(drawn[:, index], rule) for index, (_, rule) in enumerate(numbers)]
    numeric = np.column_stack(columns) if columns else np.empty((rows, 0))
    categorical = np.empty((rows, len(texts)), dtype=object)
    for index, (_, rule) in enumerate(texts):
        words = ("never seen ü", "") if unseen else (rule.enum or _WORDS)
        categorical[:, index] = random.choice(np.array(words, dtype=object), rows)
    numeric[random.random(numeric.shape) < _MISSING] = np.nan
    categorical[random.random(categorical.shape) < _MISSING] = ""
    if unseen:
        numeric[: rows // 4], categorical[: rows // 4] = np.nan, ""
    return TrainingSet(
        numeric=numeric,
        categorical=categorical,
        label=_label(definition, drawn[:, 0], random),
        decision_time_ms=np.arange(rows, dtype=np.int64) * 3_600_000,
        key=np.array([f"row-{row}" for row in range(rows)], dtype=object),
        numeric_names=[name for name, _ in numbers],
        categorical_names=[name for name, _ in texts],
        classes=definition.label.classes,
    )


def _spread(drawn: Floats, rule: FieldRule) -> Floats:
    """Spread numbers in [0, 1) over the values that a rule allows; whole numbers are in every rule that has some."""
    low = rule.min if rule.min is not None and np.isfinite(rule.min) else None
    high = rule.max if rule.max is not None and np.isfinite(rule.max) else None
    low = low if low is not None else (high - _SCALE if high is not None else 0.0)
    high = min(high, low + 10 * _SCALE) if high is not None else low + _SCALE
    spread = low + drawn * (high - low)
    return np.floor(spread) if high - low >= 2 and np.floor(low) == low else spread


def _label(definition: LoopDefinition, signal: Floats, random: np.random.Generator) -> Floats:
    """Return labels float64 [n] whose distribution depends on a signal in [0, 1)."""
    kind, classes = definition.label.kind, len(definition.label.classes)
    noisy = signal + random.normal(0.0, 0.3, len(signal))
    if kind == "binary":
        return (noisy > 0.6).astype(np.float64)
    if kind == "count":
        return random.poisson(np.exp(4 * signal - 2)).astype(np.float64)
    if kind == "multiclass":
        label = np.clip((noisy * classes).astype(np.int64), 0, classes - 1)
        label[: 2 * classes] = np.arange(2 * classes)[: len(label)] % classes  # each class occurs
        return label.astype(np.float64)
    return np.asarray(10 * noisy)

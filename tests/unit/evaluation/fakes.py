"""Fakes of the evaluation service's ports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from driftloop.model.labels import LabelKind
from driftloop.model.scores import Floats
from driftloop.process.errors import BundleError
from services.evaluation.ports import Holdout, Integers, Objects, Scorer


@dataclass
class FakeScorer:
    """Scores the weighted mean of its numeric input and 0.5."""

    weight: float = 1.0
    numeric: Sequence[str] = ("truth",)
    categorical: Sequence[str] = ()
    kind: LabelKind = "binary"
    classes: Sequence[str] = ()
    golden: float = 0.0
    refuses: bool = False

    def score(self, numeric: Floats, categorical: Objects) -> Floats:
        if self.refuses:
            raise BundleError("the model refuses its inputs")
        return self.weight * numeric[:, 0] + (1 - self.weight) * 0.5

    def golden_difference(self) -> float:
        return self.golden


@dataclass
class FakeBundles:
    """Scorers by bundle URI."""

    scorers: dict[str, FakeScorer] = field(default_factory=dict)

    def open(self, uri: str, digest: str) -> Scorer:
        if uri not in self.scorers:
            raise BundleError(f"{uri}: manifest.json is missing")
        return self.scorers[uri]


@dataclass
class FakeHoldout:
    """Rows of four days; `truth` is the probability of label 1."""

    rows: int = 400
    recorded_weight: float = 1.0
    columns: tuple[str, ...] = ("truth",)
    seed: int = 0

    @property
    def truth(self) -> Floats:
        return np.random.default_rng(self.seed).uniform(0.05, 0.95, size=self.rows)

    @property
    def label(self) -> Floats:
        chance = np.random.default_rng(self.seed + 1).uniform(size=self.rows)
        return (chance < self.truth).astype(np.float64)

    @property
    def score(self) -> Floats:
        return self.recorded_weight * self.truth + (1 - self.recorded_weight) * 0.5

    @property
    def decision_time_ms(self) -> Integers:
        return np.arange(self.rows, dtype=np.int64) * 4 * 86_400_000 // max(self.rows, 1)

    def missing(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self.columns]

    def numeric(self, names: Sequence[str]) -> Floats:
        return np.column_stack([self.truth for _ in names])

    def categorical(self, names: Sequence[str]) -> Objects:
        return np.empty((self.rows, len(names)), dtype=object)


@dataclass
class FakeHoldouts:
    """Holdouts by URI."""

    holdouts: dict[str, FakeHoldout] = field(default_factory=dict)

    def read(self, uri: str) -> Holdout:
        if uri not in self.holdouts:
            raise BundleError(f"{uri}: no holdout can be read")
        return self.holdouts[uri]

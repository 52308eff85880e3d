"""A holdout that was damaged on disk is refused; its rows cannot crash the service or differ unnoticed."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from driftloop.model.trainer import TrainingSet
from driftloop.process.errors import BundleError
from services.evaluation.adapters.holdouts import ParquetHoldouts
from services.training.run.package import write_holdout

ROWS = 120


def _write(path: Path, classes: int) -> bytes:
    chance = np.random.default_rng(1)
    rows = TrainingSet(
        numeric=chance.random((ROWS, 2)),
        categorical=np.array([[f"place-{row % 7}"] for row in range(ROWS)], dtype=object),
        label=chance.integers(0, 2, ROWS).astype(np.float64),
        decision_time_ms=np.arange(ROWS),
        key=np.array([str(row) for row in range(ROWS)], dtype=object),
        numeric_names=["a", "b"],
        categorical_names=["place"],
        classes=(),
    )
    write_holdout(path, rows, chance.random((ROWS, classes) if classes else ROWS))
    return path.read_bytes()


def _values(path: Path) -> list[object]:
    holdout = ParquetHoldouts().read(str(path))
    parts = (holdout.label, holdout.score, holdout.decision_time_ms, holdout.numeric(["a", "b"]))
    return [*(part.tolist() for part in parts), holdout.categorical(["place"]).tolist()]


@pytest.mark.parametrize("classes", [0, 3])
def test_a_damaged_holdout_is_refused(tmp_path: Path, classes: int) -> None:
    path = tmp_path / "holdout.parquet"
    content = _write(path, classes)
    written = _values(path)
    chance = random.Random(7)
    refused = 0
    for number in range(150):
        damaged = bytearray(content[: chance.randrange(len(content))] if number % 5 == 0 else content)
        for _ in range(chance.randint(1, 4) if number % 5 else 0):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            values = _values(path)
        except BundleError:
            refused += 1
        else:
            assert values == written  # only unused bytes differ
    assert refused > 90

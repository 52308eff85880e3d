"""The training frame as an Arrow file, which the two processes of a run exchange."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftloop.model.bundle import Input
from driftloop.model.trainer import TrainingSet
from driftloop.process.atomic_file import replacing

FRAME = "frame.arrow"
PROBLEM = "frame.problem"
"""The joining process leaves one of these two files in the run's folder."""
DATA_PROBLEM = 3
"""Exit code of the joining process if it leaves a problem."""

_KEY, _TIME, _LABEL, _META = "key", "decision_time_ms", "label", b"driftloop"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled rows in order of (decision time, key), the columns' meaning, and counts of rows that were left out."""

    numeric: tuple[Input, ...]
    categorical: tuple[Input, ...]
    rows: TrainingSet
    counts: Mapping[str, int]

    def digest(self) -> str:
        """Return the sha256 (hex) of names and values in order."""
        digest = hashlib.sha256(json.dumps([self.rows.numeric_names, self.rows.categorical_names]).encode())
        for numbers in (self.rows.numeric, self.rows.label, self.rows.decision_time_ms):
            digest.update(np.ascontiguousarray(numbers).tobytes())
        for texts in (self.rows.key, *self.rows.categorical.T):
            digest.update("\x1f".join(texts).encode())
        return digest.hexdigest()


def write_dataset(path: Path, dataset: Dataset) -> None:
    """Write a dataset atomically."""
    rows = dataset.rows
    columns = {
        _KEY: pa.array(rows.key, pa.string()),
        _TIME: pa.array(rows.decision_time_ms),
        _LABEL: pa.array(rows.label),
    }
    columns |= {f"n{index}": pa.array(column) for index, column in enumerate(rows.numeric.T)}
    columns |= {f"c{index}": pa.array(column, pa.string()) for index, column in enumerate(rows.categorical.T)}
    meta = {
        "numeric": [asdict(number) for number in dataset.numeric],
        "categorical": [asdict(string) for string in dataset.categorical],
        "counts": dict(dataset.counts),
        "classes": list(rows.classes),
    }
    table = pa.table(columns).replace_schema_metadata({_META: json.dumps(meta).encode()})
    with (
        replacing(path) as partial,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)


def read_dataset(path: Path) -> Dataset:
    """Read what `write_dataset` wrote."""
    with pa.OSFile(str(path), "rb") as source:
        table = pa.ipc.open_file(source).read_all()
    meta = json.loads(table.schema.metadata[_META])
    numeric = tuple(Input(**fields) for fields in meta["numeric"])
    categorical = tuple(Input(**fields) for fields in meta["categorical"])
    rows = TrainingSet(
        numeric=matrix([table[f"n{index}"].to_numpy() for index in range(len(numeric))], table.num_rows),
        categorical=text_matrix([table[f"c{index}"].to_numpy() for index in range(len(categorical))], table.num_rows),
        label=table[_LABEL].to_numpy(),
        decision_time_ms=table[_TIME].to_numpy(),
        key=np.asarray(table[_KEY].to_numpy(), dtype=object),
        numeric_names=[number.name for number in numeric],
        categorical_names=[string.name for string in categorical],
        classes=tuple(meta["classes"]),
    )
    return Dataset(numeric, categorical, rows, meta["counts"])


def matrix(columns: Sequence[NDArray[np.float64]], rows: int) -> NDArray[np.float64]:
    """Stack columns float64 [n] to float64 [n, F]; [n, 0] without columns."""
    return np.column_stack(columns).astype(np.float64, copy=False) if columns else np.empty((rows, 0))


def text_matrix(columns: Sequence[NDArray[np.object_]], rows: int) -> NDArray[np.object_]:
    """Stack columns of str [n] to object [n, C]; [n, 0] without columns."""
    values = np.empty((rows, len(columns)), dtype=object)
    for index, column in enumerate(columns):
        values[:, index] = column
    return values

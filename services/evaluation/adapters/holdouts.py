"""Holdouts as Parquet files: a column for each model input, ``label``, ``score`` and ``decision_time_ms``.

``score`` is a number, or of K classes a list of K numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from driftloop.model.bundle import local_path
from driftloop.model.path_relocation import PathResolver
from driftloop.model.scores import Floats
from driftloop.process.errors import BundleError
from services.evaluation.ports import Holdout, Integers, Objects

_ALWAYS = ("label", "score", "decision_time_ms")


class ParquetHoldout:
    """`services.evaluation.ports.Holdout` over an Arrow table."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @property
    def label(self) -> Floats:
        return self._floats("label")

    @property
    def score(self) -> Floats:
        column = self._table["score"].combine_chunks()
        if not pa.types.is_fixed_size_list(column.type):
            return self._floats("score")
        table = pc.fill_null(pc.cast(column.flatten(), pa.float64()), float("nan")).to_numpy()
        return np.asarray(table, dtype=np.float64).reshape(len(column), column.type.list_size)

    @property
    def decision_time_ms(self) -> Integers:
        return np.asarray(self._table["decision_time_ms"].to_numpy(), dtype=np.int64)

    def missing(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self._table.column_names]

    def numeric(self, names: Sequence[str]) -> Floats:
        columns = [self._floats(name) for name in names]
        return np.column_stack(columns) if columns else np.empty((len(self._table), 0))

    def categorical(self, names: Sequence[str]) -> Objects:
        values = np.empty((len(self._table), len(names)), dtype=object)
        for position, name in enumerate(names):
            values[:, position] = pc.fill_null(pc.cast(self._table[name], pa.string()), "").to_numpy()
        return values

    def _floats(self, name: str) -> Floats:
        column = pc.cast(self._table[name], pa.float64())
        return np.asarray(pc.fill_null(column, float("nan")).to_numpy(), dtype=np.float64)


class ParquetHoldouts:
    """`services.evaluation.ports.Holdouts` on local disk."""

    def __init__(self, resolve_path: PathResolver = local_path) -> None:
        self._resolve_path = resolve_path

    def read(self, uri: str) -> Holdout:
        path = self._resolve_path(uri)
        try:
            table = pq.read_table(path, page_checksum_verification=True)
            table.validate(full=True)
            absent = [name for name in _ALWAYS if name not in table.column_names]
            if absent:
                raise BundleError(f"{path}: the holdout lacks {', '.join(absent)}")
            holdout = ParquetHoldout(table)
            _check(holdout, table.schema)
        except (OSError, pa.ArrowException, ValueError, LookupError, MemoryError) as error:
            raise BundleError(f"{path}: no holdout can be read: {error}") from error
        return holdout


def _check(holdout: ParquetHoldout, schema: pa.Schema) -> None:
    """Raise if a column cannot be used: nothing seals the file, so it may be damaged and still be Parquet."""
    for field in schema:
        if field.name != "score" and not (pa.types.is_primitive(field.type) or pa.types.is_string(field.type)):
            raise ValueError(f"column {field.name} has type {field.type}")
    for values in (holdout.label, holdout.score, holdout.decision_time_ms):
        if len(values) != len(holdout.label):
            raise ValueError("the columns have different lengths")

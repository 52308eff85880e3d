"""Joins a batch with online features into the matrices that releases take.

A decision at time T uses the newest row with ``available_at <= T``. The online store has only the newest row per
entity. So a row written after T counts as missing, and so does a view whose watermark is too far behind T.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from driftloop.featurestore.feast_keys import EntityKeys, EntityValue, window_ms
from driftloop.model.bundle import Input
from services.serving.domain.loop_config import KeySource, LoopConfig
from services.serving.router.batch import Batch
from services.serving.router.online import OnlineFeatures, ViewRequest, ViewRows

_UNLIMITED_MS = 2**62


@dataclass(frozen=True)
class Columns:
    """The distinct inputs of all releases of a route: features by view, then request inputs."""

    views: Mapping[str, tuple[tuple[Input, ...], tuple[Input, ...]]]
    """Numeric and string features of each view."""
    numeric: tuple[Input, ...]
    """Columns of the joined float64 matrix: features by view, then request inputs."""
    strings: tuple[Input, ...]
    """Columns of the joined string matrix, in the same order."""


@dataclass(frozen=True)
class Joined:
    """All inputs of a batch of n rows."""

    numeric: NDArray[np.float64]
    """float64 [n, len(Columns.numeric)]; NaN means missing."""
    strings: NDArray[np.object_]
    """str [n, len(Columns.strings)]; empty means missing."""
    watermark_ms: int
    """Least watermark of the views that were read; 0 if none was."""
    stale: Sequence[tuple[str, ...]]
    """Per row: the views that count as missing because of their age."""

    def feature_age_s(self, decision_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return decision time minus watermark in seconds, float64 [n]; NaN if no view was read."""
        if self.watermark_ms == 0:
            return np.full(len(decision_ms), np.nan)
        return (decision_ms - self.watermark_ms) / 1000.0


def columns_of(inputs: Iterable[Sequence[Input]]) -> Columns:
    """Return the columns that cover the inputs of several releases."""
    distinct = {_identity(column): column for columns in inputs for column in columns}.values()
    features = [column for column in distinct if column.source == "feature"]
    names = sorted({column.view for column in features})
    views = {view: _by_dtype([column for column in features if column.view == view]) for view in names}
    numeric, strings = _by_dtype([column for column in distinct if column.source == "request"])
    return Columns(
        views=views,
        numeric=(*chain.from_iterable(numbers for numbers, _ in views.values()), *numeric),
        strings=(*chain.from_iterable(texts for _, texts in views.values()), *strings),
    )


def max_age_ms(columns: Columns, config: LoopConfig) -> int:
    """Return how far a view's watermark may be behind a decision before the view counts as missing."""
    if config.max_feature_age_ms is not None:
        return config.max_feature_age_ms
    features = chain.from_iterable(chain(*inputs) for inputs in columns.views.values())
    longest = max((window_ms(column.feature) for column in features), default=0)
    return max(longest, config.block_ms) + config.lateness_ms if longest else _UNLIMITED_MS


class Joiner:
    """Joins batches for one route."""

    def __init__(
        self, columns: Columns, sources: Mapping[str, KeySource], max_age_ms: int, online: OnlineFeatures
    ) -> None:
        self._columns = columns
        self._sources = sources
        self._max_age_ms = max_age_ms
        self._online = online
        self._serializers: dict[tuple[str, ...], EntityKeys] = {}

    def join(self, batch: Batch) -> Joined:
        wanted, rows_of = self._view_requests(batch)
        views = self._online.read(wanted)
        numeric: list[NDArray[np.float64]] = []
        strings: list[NDArray[np.object_]] = []
        stale: list[list[str]] = [[] for _ in range(len(batch))]
        for view, (numbers, texts) in self._columns.views.items():
            if view not in wanted:
                numeric.append(np.full((len(batch), len(numbers)), np.nan))
                strings.append(_empty_strings(len(batch), len(texts)))
                missing = np.ones(len(batch), dtype=np.bool_)
            else:
                numeric.append(views[view].numeric[rows_of[view]])
                strings.append(views[view].strings[rows_of[view]])
                missing = self._missing_rows(view, batch, views[view], wanted[view], rows_of[view])
            if missing.any():
                numeric[-1][missing] = np.nan
                strings[-1][missing] = ""
                for row in np.flatnonzero(missing).tolist():
                    stale[row].append(view)
        self._request_inputs(batch, numeric, strings)
        watermarks = [rows.watermark_ms or 0 for rows in views.values()]
        joined = np.concatenate(numeric, axis=1)
        joined[np.isinf(joined)] = np.nan  # missing, as in training
        return Joined(
            numeric=joined,
            strings=np.concatenate(strings, axis=1),
            watermark_ms=min(watermarks, default=0),
            stale=[tuple(names) for names in stale],
        )

    def _view_requests(self, batch: Batch) -> tuple[dict[str, ViewRequest], dict[str, NDArray[np.int64]]]:
        """Return what to read from each view with rows, and per view the index of each batch row's key."""
        wanted: dict[str, ViewRequest] = {}
        rows_of: dict[str, NDArray[np.int64]] = {}
        known: dict[tuple[str, ...], tuple[list[bytes], NDArray[np.int64]]] = {}
        for view, (numbers, texts) in self._columns.views.items():
            names = self._online.join_keys(view)
            if names is None:
                continue
            if names not in known:
                known[names] = self._entity_keys(names, batch)
            keys, rows_of[view] = known[names]
            wanted[view] = ViewRequest(_feature_names(numbers), _feature_names(texts), keys)
        return wanted, rows_of

    def _entity_keys(self, names: tuple[str, ...], batch: Batch) -> tuple[list[bytes], NDArray[np.int64]]:
        """Return a batch's distinct serialised keys, and the index of each row's key (int64 [n])."""
        serializer = self._serializers.setdefault(names, EntityKeys(names))
        columns = [self._key_column(name, batch) for name in names]
        index: dict[tuple[EntityValue, ...], int] = {}
        rows = [index.setdefault(values, len(index)) for values in zip(*columns, strict=True)]
        return [serializer.serialize(values) for values in index], np.array(rows, dtype=np.int64)

    def _key_column(self, name: str, batch: Batch) -> Sequence[EntityValue]:
        source = self._sources[name]
        return batch.columns[source.input] if source.input else [source.const] * len(batch)

    def _missing_rows(
        self, view: str, batch: Batch, stored: ViewRows, request: ViewRequest, rows: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return the rows for which a view counts as missing, bool [n]."""
        if stored.watermark_ms is None:
            return np.ones(len(batch), dtype=np.bool_)
        missing: NDArray[np.bool_] = batch.decision_ms - stored.watermark_ms > self._max_age_ms
        written = stored.written_ms
        if written is None and int(batch.decision_ms.min()) < stored.watermark_ms:
            written = self._online.written_ms(view, request.entity_keys)
        if written is not None:
            missing |= written[rows] > batch.decision_ms
        return missing

    def _request_inputs(
        self, batch: Batch, numeric: list[NDArray[np.float64]], strings: list[NDArray[np.object_]]
    ) -> None:
        """Append the inputs that came with the requests."""
        numeric.append(np.empty((len(batch), 0)))
        strings.append(_empty_strings(len(batch), 0))
        names = [column.name for column in self._columns.numeric if column.source == "request"]
        numeric += [batch.numbers(name).reshape(-1, 1) for name in names]
        names = [column.name for column in self._columns.strings if column.source == "request"]
        strings += [np.array(batch.columns[name], dtype=np.object_).reshape(-1, 1) for name in names]


def column_indices(wanted: Sequence[Input], columns: Sequence[Input]) -> NDArray[np.intp] | None:
    """Return the indices of a release's inputs in ``columns`` (intp [F]); None if both are the same."""
    index_of = {_identity(column): index for index, column in enumerate(columns)}
    indices = [index_of[_identity(column)] for column in wanted]
    return None if indices == list(range(len(columns))) else np.array(indices, dtype=np.intp)


def _identity(column: Input) -> tuple[str, ...]:
    return column.source, column.view, column.feature or column.name, column.dtype


def _by_dtype(inputs: Sequence[Input]) -> tuple[tuple[Input, ...], tuple[Input, ...]]:
    return tuple(i for i in inputs if i.dtype == "double"), tuple(i for i in inputs if i.dtype == "string")


def _feature_names(inputs: Iterable[Input]) -> tuple[str, ...]:
    return tuple(column.feature for column in inputs)


def _empty_strings(rows: int, columns: int) -> NDArray[np.object_]:
    return np.full((rows, columns), "", dtype=np.object_)

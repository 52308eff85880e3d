"""Joins a batch with online features into the matrices that releases take.

A decision at time T uses the newest row with ``available_at <= T``. The online store has only the newest row per
entity. So a row written after T counts as missing, and so does a view whose watermark is too far behind T.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from driftloop.featurestore.feast_keys import EntityKeys, EntityValue
from driftloop.model.bundle import Input
from services.serving.domain.loop_config import KeySource
from services.serving.router.batch import Batch
from services.serving.router.online_sqlite import ViewRequest, ViewRows


class OnlineFeatures(Protocol):
    """The part of the online store that the join needs."""

    def join_keys(self, view: str) -> tuple[str, ...] | None:
        """Return the join keys of a view, or None if it has no rows."""
        ...

    def read(self, wanted: Mapping[str, ViewRequest]) -> Mapping[str, ViewRows]:
        """Return each view's rows, in the order of the requested keys."""
        ...

    def written_ms(self, view: str, entity_keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the event time (ms) of each entity's row, or -1 without a row."""
        ...


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
    distinct = {
        (each.source, each.view, each.feature or each.name, each.dtype): each for some in inputs for each in some
    }
    distinct_inputs = list(distinct.values())
    by_view: dict[str, tuple[tuple[Input, ...], tuple[Input, ...]]] = {}
    for view in sorted({each.view for each in distinct_inputs if each.source == "feature"}):
        of_view = [each for each in distinct_inputs if each.source == "feature" and each.view == view]
        by_view[view] = (_with_dtype(of_view, "double"), _with_dtype(of_view, "string"))
    names = [each for each in distinct_inputs if each.source == "request"]
    return Columns(
        views=by_view,
        numeric=tuple(each for numeric, _ in by_view.values() for each in numeric) + _with_dtype(names, "double"),
        strings=tuple(each for _, strings in by_view.values() for each in strings) + _with_dtype(names, "string"),
    )


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
        """Return all inputs of a batch."""
        wanted, rows_of = self._view_requests(batch)
        found = self._online.read(wanted)
        numeric: list[NDArray[np.float64]] = []
        strings: list[NDArray[np.object_]] = []
        stale: list[list[str]] = [[] for _ in range(len(batch))]
        for view, (numbers, texts) in self._columns.views.items():
            if view not in wanted:
                numeric.append(np.full((len(batch), len(numbers)), np.nan))
                strings.append(_empty_strings(len(batch), len(texts)))
                missing = np.ones(len(batch), dtype=np.bool_)
            else:
                numeric.append(found[view].numeric[rows_of[view]])
                strings.append(found[view].strings[rows_of[view]])
                missing = self._missing_rows(view, batch, found[view], wanted[view], rows_of[view])
            if missing.any():
                numeric[-1][missing] = np.nan
                strings[-1][missing] = ""
                for row in np.flatnonzero(missing).tolist():
                    stale[row].append(view)
        self._request_inputs(batch, numeric, strings)
        watermarks = [rows.watermark_ms or 0 for rows in found.values()]
        return Joined(
            numeric=np.concatenate(numeric, axis=1),
            strings=np.concatenate(strings, axis=1),
            watermark_ms=min(watermarks, default=0),
            stale=[tuple(each) for each in stale],
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
        place: dict[tuple[EntityValue, ...], int] = {}
        rows = [place.setdefault(values, len(place)) for values in zip(*columns, strict=True)]
        return [serializer.serialize(values) for values in place], np.array(rows, dtype=np.int64)

    def _key_column(self, name: str, batch: Batch) -> Sequence[EntityValue]:
        source = self._sources[name]
        return batch.columns[source.input] if source.input else [source.const] * len(batch)

    def _missing_rows(
        self, view: str, batch: Batch, found: ViewRows, request: ViewRequest, rows: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return the rows for which a view counts as missing, bool [n]."""
        if found.watermark_ms is None:
            return np.ones(len(batch), dtype=np.bool_)
        missing: NDArray[np.bool_] = batch.decision_ms - found.watermark_ms > self._max_age_ms
        if int(batch.decision_ms.min()) < found.watermark_ms:
            written = self._online.written_ms(view, request.entity_keys)[rows]
            missing |= written > batch.decision_ms
        return missing

    def _request_inputs(
        self, batch: Batch, numeric: list[NDArray[np.float64]], strings: list[NDArray[np.object_]]
    ) -> None:
        """Append the inputs that came with the requests."""
        numeric.append(np.empty((len(batch), 0)))
        strings.append(_empty_strings(len(batch), 0))
        names = [each.name for each in self._columns.numeric if each.source == "request"]
        numeric += [batch.numbers(name).reshape(-1, 1) for name in names]
        names = [each.name for each in self._columns.strings if each.source == "request"]
        strings += [np.array(batch.columns[name], dtype=np.object_).reshape(-1, 1) for name in names]


def column_indices(wanted: Sequence[Input], columns: Sequence[Input]) -> NDArray[np.intp] | None:
    """Return the indices of a release's inputs in ``columns`` (intp [F]); None if both are the same."""
    place = {(each.source, each.view, each.feature or each.name, each.dtype): at for at, each in enumerate(columns)}
    found = [place[(each.source, each.view, each.feature or each.name, each.dtype)] for each in wanted]
    return None if found == list(range(len(columns))) else np.array(found, dtype=np.intp)


def _with_dtype(inputs: Iterable[Input], dtype: str) -> tuple[Input, ...]:
    return tuple(each for each in inputs if each.dtype == dtype)


def _feature_names(inputs: Iterable[Input]) -> tuple[str, ...]:
    return tuple(each.feature for each in inputs)


def _empty_strings(rows: int, columns: int) -> NDArray[np.object_]:
    return np.full((rows, columns), "", dtype=np.object_)

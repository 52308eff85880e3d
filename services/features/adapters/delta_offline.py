"""Offline views in the lake: one Delta table per view, one row for each row written online."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from driftloop.featurestore.lake import LakeTable, Recorded
from driftloop.process.errors import ConfigError
from driftloop.process.object_store import Folder
from services.features.domain.engine import FeatureRows
from services.features.domain.events import Array
from services.features.domain.views import ViewSpec
from services.features.ports import ViewVersion

APP = "features"
"""Delta application id; its version is the watermark up to which the view is complete."""
_TIME = pa.timestamp("us", tz="UTC")
_TYPES = {"double": pa.float64(), "string": pa.string(), "int64": pa.int64()}


class DeltaOffline:
    """See `services.features.ports.OfflineStore`."""

    def __init__(self, lake: Folder) -> None:
        self._lake = lake
        self._tables: dict[Folder, LakeTable] = {}

    def append(
        self, loop: str, specs: Sequence[ViewSpec], rows: Sequence[FeatureRows], watermark_ms: int, written_at_ms: int
    ) -> list[ViewVersion]:
        versions = []
        for spec in specs:
            table = self._table(loop, spec)
            mine = [view for view in rows if view.spec.view == spec.view]
            version = table.append_missing(partial(_missing, spec, mine, written_at_ms), {APP: watermark_ms})
            versions.append(ViewVersion(spec.view, str(table.path), version))
        return versions

    def newest(self, loop: str, spec: ViewSpec) -> FeatureRows | None:
        """Return the newest row of each entity and the watermark of the last write, or None without rows."""
        rows = self._table(loop, spec).read()
        if not rows.num_rows:
            return None
        order = rows.take(pc.sort_indices(rows, [("available_at", "ascending")]))
        keys = list(zip(*(order[name].to_pylist() for name in spec.feed.join_keys), strict=True))
        last = {key: at for at, key in enumerate(keys)}
        picked = order.take(pa.array(last.values(), pa.int64()))
        watermark_ms = int(pc.max(rows["available_at"].cast(pa.int64())).as_py()) // 1000
        return FeatureRows(spec, watermark_ms, list(last), tuple(_values(picked[name]) for name in spec.features))

    def _table(self, loop: str, spec: ViewSpec) -> LakeTable:
        path = self._lake / loop / "views" / spec.view
        if path not in self._tables:
            self._tables[path] = _opened(path, spec)
        return self._tables[path]


def _opened(path: Folder, spec: ViewSpec) -> LakeTable:
    """Open the view's table, created if missing so that a view without rows can be read.

    Raises:
        ConfigError: it was created for other features.
    """
    table = LakeTable(path)
    if not table.exists():
        table.append(schema(spec).empty_table(), {})
    elif _types(pa.schema(DeltaTable(str(path)).schema().to_arrow())) != _types(schema(spec)):
        raise ConfigError(f"{path} holds other features than {spec.view} has now; give the new ones a new view")
    return table


def _types(columns: pa.Schema) -> dict[str, str]:
    """Return each column's kind of type: a text, a number or a time, whatever its width."""
    return {
        field.name: "text" if str(field.type) in ("string", "large_string", "string_view") else str(field.type)
        for field in columns
    }


def _missing(spec: ViewSpec, rows: Sequence[FeatureRows], written_at_ms: int, recorded: Recorded) -> pa.Table | None:
    """Return the rows after the recorded watermark, or None if there are none."""
    new = [view for view in rows if view.watermark_ms > recorded(APP)]
    return as_table(spec, new, written_at_ms) if new else None


def schema(spec: ViewSpec) -> pa.Schema:
    """Return the columns of an offline view: join keys, features, and the three times."""
    keys = [(name, _TYPES[kind]) for name, kind in zip(spec.feed.join_keys, spec.key_kinds, strict=True)]
    features = [(name, _TYPES[kind]) for name, kind in zip(spec.features, spec.kinds, strict=True)]
    return pa.schema([*keys, *features, ("event_timestamp", _TIME), ("available_at", _TIME), ("written_at", _TIME)])


def as_table(spec: ViewSpec, rows: Sequence[FeatureRows], written_at_ms: int) -> pa.Table:
    """Return feature rows of one view as an offline table; NaN becomes null."""
    wanted = schema(spec)
    keys = list(zip(*(key for view in rows for key in view.keys), strict=True))
    columns = [pa.array(values, wanted.field(at).type) for at, values in enumerate(keys)]
    for at, kind in enumerate(spec.kinds):
        values = np.concatenate([view.columns[at] for view in rows])
        columns.append(pa.array(values, _TYPES[kind], from_pandas=True))
    watermarks = np.concatenate([np.full(len(view.keys), view.watermark_ms, np.int64) for view in rows])
    at_us = pa.array(watermarks * 1000).cast(_TIME)
    written = pa.array(np.full(len(watermarks), written_at_ms * 1000, np.int64)).cast(_TIME)
    return pa.Table.from_arrays([*columns, at_us, at_us, written], schema=wanted)


def _values(column: pa.ChunkedArray) -> Array:
    values: Array = column.to_numpy(zero_copy_only=False)
    return values

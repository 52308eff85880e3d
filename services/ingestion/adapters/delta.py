"""The lake: Delta tables with each row once, by source position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from driftloop.featurestore.lake import LakeTable, Recorded
from driftloop.process.object_store import Folder
from services.ingestion.ports import ACCEPTED_BEFORE, TableVersion, Unflushed

_WATERMARKS = "watermarks"


class DeltaLake:
    """`services.ingestion.ports.Lake` below a folder. A commit stores the next offset of each raw partition in it."""

    def __init__(self, root: Folder) -> None:
        self._root = root
        self._tables: dict[Folder, LakeTable] = {}

    def append(self, unflushed: Unflushed) -> list[TableVersion]:
        folder = self._root / unflushed.loop
        for event_type, rows in unflushed.events.items():
            _append_rows(self._table(folder / "events" / event_type), rows)
        _append_rows(self._table(folder / "rejected"), unflushed.rejected)
        _append_watermarks(self._table(folder / _WATERMARKS), unflushed.watermarks)
        return list(self._versions(folder, unflushed.events))

    def accepted(self, loop: str, event_type: str, since_ms: int) -> pa.Table:
        columns = list(ACCEPTED_BEFORE)
        table = self._table(self._root / loop / "events" / event_type)
        if not table.exists():
            return pa.table({name: [] for name in columns})
        return DeltaTable(str(table.path)).to_pyarrow_table(
            columns=columns, filters=[("event_time_ms", ">=", since_ms)]
        )

    def _versions(self, folder: Folder, events: Mapping[str, pa.Table]) -> Iterator[TableVersion]:
        folders = {name: folder / "events" / name for name in events}
        for name, path in {**folders, "rejected": folder / "rejected", _WATERMARKS: folder / _WATERMARKS}.items():
            table = self._table(path)
            if table.exists():
                yield TableVersion(name, str(path), table.version())

    def _table(self, path: Folder) -> LakeTable:
        return self._tables.setdefault(path, LakeTable(path))


def _append_rows(table: LakeTable, rows: pa.Table) -> None:
    if not rows.num_rows:
        return
    topics = rows.column("source_topic").to_numpy()
    partitions = rows.column("source_partition").to_numpy()
    offsets = rows.column("source_offset").to_numpy()
    positions = {}
    for topic in np.unique(topics).tolist():
        for partition in np.unique(partitions[topics == topic]).tolist():
            positions[f"{topic}/{partition}"] = (topics == topic) & (partitions == partition)

    def missing(recorded: Recorded) -> pa.Table:
        new = np.zeros(rows.num_rows, dtype=bool)
        for app, here in positions.items():
            new |= here & (offsets >= recorded(app))
        return rows if new.all() else rows.filter(pa.array(new))

    table.append_missing(missing, {app: int(offsets[here].max()) + 1 for app, here in positions.items()})


def _append_watermarks(table: LakeTable, rows: pa.Table) -> None:
    if rows.num_rows:
        watermarks = rows.column("watermark_ms")

        def missing(recorded: Recorded) -> pa.Table:
            return rows.filter(pc.greater(watermarks, recorded(_WATERMARKS)))

        table.append_missing(missing, {_WATERMARKS: pc.max(watermarks).as_py()})

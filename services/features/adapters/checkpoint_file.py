"""The checkpoint as one Arrow IPC file, replaced as a whole: rows of a name and a payload (Arrow IPC or JSON)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from driftloop.process.atomic_file import replacing
from driftloop.process.errors import ConfigError
from driftloop.process.object_store import Folder, folder_of, read_file, write_file
from driftloop.runner.loop_positions import positions_from_json, positions_to_json
from services.features.domain.engine import FeedSnapshot
from services.features.domain.events import Array, Events
from services.features.domain.latest import Key, Newest
from services.features.domain.state import FeatureState
from services.features.domain.views import Aggregate, Feed, Latest, ViewSpec
from services.features.ports import Checkpoint

_SCHEMA = pa.schema([("name", pa.string()), ("payload", pa.binary())])
_FORMAT = 1
_CLOCKS = ("time_ms", "effective_ms", "partition", "offset", "code")
_CHECKSUM = "checksum"
"""Name of the part that guards the others."""
Parts = dict[str, bytes]


class CheckpointFile:
    """See `services.features.ports.Checkpoints`. ``path``: of a file on this machine, or of an object in a bucket."""

    def __init__(self, path: Folder) -> None:
        self.path = path

    def load(self) -> Checkpoint | None:
        """Load the newest checkpoint.

        Raises:
            ConfigError: the file is damaged, or another version of driftloop wrote it.
            Retriable: the bucket's server did not answer.
        """
        content = read_file(*folder_of(str(self.path)))
        if content is None:
            return None
        try:
            return _decode(_parts(content))
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
            raise ConfigError(
                f"{self.path} is damaged ({str(error).splitlines()[0]}): restore a backup, or remove the file and run "
                "`python -m services.features.backfill --loop LOOP` for every loop, then start again"
            ) from error

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the file.

        Raises:
            Retriable: the bucket's server did not answer.
        """
        parts = _encode(checkpoint)
        parts[_CHECKSUM] = _checksum(parts)
        table = pa.Table.from_pydict({"name": list(parts), "payload": list(parts.values())}, _SCHEMA)
        if isinstance(self.path, Path):
            with replacing(self.path, durable=True) as partial, pa.OSFile(str(partial), "wb") as file:
                _write(table, file)
        else:
            sink = pa.BufferOutputStream()
            _write(table, sink)
            write_file(*folder_of(str(self.path)), sink.getvalue().to_pybytes())


def _write(table: pa.Table, sink: Any) -> None:
    with pa.ipc.new_file(sink, _SCHEMA) as writer:
        writer.write_table(table)


def _parts(content: bytes) -> Parts:
    """Return the file's parts, none of whose bytes has changed since they were written."""
    table = pa.ipc.open_file(pa.BufferReader(content)).read_all()
    table.validate(full=True)
    parts: Parts = dict(zip(table["name"].to_pylist(), table["payload"].to_pylist(), strict=True))
    expected = parts.pop(_CHECKSUM, None)  # the first files had none
    if expected is not None and expected != _checksum(parts):
        raise ValueError("its content differs from its checksum")
    return parts


def _checksum(parts: Parts) -> bytes:
    checksum = 0
    for name, payload in parts.items():
        checksum = zlib.crc32(payload, zlib.crc32(name.encode(), checksum))
    return checksum.to_bytes(4, "big")


def _encode(checkpoint: Checkpoint) -> Parts:
    head = {
        "format": _FORMAT,
        "positions": positions_to_json(checkpoint.positions),
        "topic_ids": dict(checkpoint.topic_ids),
        "sequence": checkpoint.sequence,
        "apart": {name: positions_to_json(positions) for name, positions in checkpoint.apart.items()},
        "loops": {name: _head(state) for name, state in checkpoint.loops.items()},
    }
    parts = {"head": json.dumps(head).encode()}
    for name, state in checkpoint.loops.items():
        for number, feed in enumerate(state.feeds):
            parts |= {f"{name}/{number}/{part}": content for part, content in _feed_parts(feed).items()}
    return parts


def _head(state: FeatureState) -> dict[str, Any]:
    return {
        "specs": [asdict(spec) for spec in state.specs],
        "watermark_ms": state.watermark_ms,
        "late_events": state.late_events,
        "newest": list(state.newest.items()),
        "waiting": list(state.waiting),
        "seen": state.seen,
        "feeds": [[feed.feed.event_type, list(feed.feed.join_keys)] for feed in state.feeds],
    }


def _feed_parts(feed: FeedSnapshot) -> Parts:
    parts = {
        "keys": _stream(_key_columns(feed.keys)),
        "visible": _stream(_event_columns(feed.visible)),
        "pending": _stream(_event_columns(feed.pending)),
    }
    for view, rows in feed.latest.items():
        parts[f"latest/{view}"] = _stream(_latest_columns(rows))
    return parts


def _decode(parts: Parts) -> Checkpoint:
    head = json.loads(parts["head"])
    if head["format"] != _FORMAT:
        raise ConfigError(
            f"the features' checkpoint has format {head['format']}, and this driftloop reads {_FORMAT}: another "
            "version wrote it; start that one, or set DRIFTLOOP_HOME to another folder"
        )
    apart = head.get("apart", {})  # older versions forgot the loops that did not run
    return Checkpoint(
        positions_from_json(head["positions"]),
        {name: _state(name, state, parts) for name, state in head["loops"].items()},
        {name: positions_from_json(positions) for name, positions in apart.items()},
        head.get("topic_ids", {}),
        head.get("sequence", 0),
    )


def _state(name: str, state: Mapping[str, Any], parts: Parts) -> FeatureState:
    specs = [_spec(spec) for spec in state["specs"]]
    feeds = [_feed(f"{name}/{at}/", Feed(event, tuple(keys)), parts) for at, (event, keys) in enumerate(state["feeds"])]
    return FeatureState(
        specs=specs,
        watermark_ms=state["watermark_ms"],
        late_events=state["late_events"],
        newest=dict(state["newest"]),
        waiting=state["waiting"],
        seen=state["seen"],
        feeds=feeds,
    )


def _spec(state: Mapping[str, Any]) -> ViewSpec:
    event_type, join_keys = state["feed"]
    return ViewSpec(
        view=state["view"],
        feed=Feed(event_type, tuple(join_keys)),
        key_kinds=tuple(state["key_kinds"]),
        aggregates=tuple(Aggregate(**feature) for feature in state["aggregates"]),
        latest=tuple(Latest(**feature) for feature in state["latest"]),
    )


def _feed(prefix: str, feed: Feed, parts: Parts) -> FeedSnapshot:
    mine = {name.removeprefix(prefix): content for name, content in parts.items() if name.startswith(prefix)}
    latest = {name.removeprefix("latest/"): _latest(mine[name]) for name in mine if name.startswith("latest/")}
    return FeedSnapshot(feed, _keys(_read(mine["keys"])), _events(mine["visible"]), _events(mine["pending"]), latest)


def _key_columns(keys: Iterable[Key]) -> dict[str, pa.Array]:
    return {f"key{at}": pa.array(values) for at, values in enumerate(zip(*keys, strict=True))}


def _keys(columns: Mapping[str, pa.Array]) -> list[Key]:
    ordered = [columns[f"key{at}"].to_pylist() for at in range(sum(name.startswith("key") for name in columns))]
    return list(zip(*ordered, strict=True))


def _event_columns(events: Events) -> dict[str, pa.Array]:
    clocks = {name: pa.array(getattr(events, name)) for name in _CLOCKS}
    return clocks | {f"column/{name}": _arrow(values) for name, values in events.columns.items()}


def _events(content: bytes) -> Events:
    read = {name: _numpy(column) for name, column in _read(content).items()}
    columns = {name.removeprefix("column/"): values for name, values in read.items() if name.startswith("column/")}
    return Events(**{name: read[name] for name in _CLOCKS}, columns=columns)


def _latest_columns(rows: Mapping[Key, Newest]) -> dict[str, pa.Array]:
    positions = zip(*(row.position for row in rows.values()), strict=True)
    values = zip(*(row.values for row in rows.values()), strict=True)
    return {
        **_key_columns(rows),
        **{f"position{at}": pa.array(column, pa.int64()) for at, column in enumerate(positions)},
        **{f"value{at}": pa.array(column) for at, column in enumerate(values)},
    }


def _latest(content: bytes) -> dict[Key, Newest]:
    columns = _read(content)
    if not columns:
        return {}
    keys = _keys(columns)
    positions = zip(*(columns[f"position{at}"].to_pylist() for at in range(3)), strict=True)
    count = sum(name.startswith("value") for name in columns)
    values = zip(*(columns[f"value{at}"].to_pylist() for at in range(count)), strict=True)
    return {key: Newest(p, v) for key, p, v in zip(keys, positions, values, strict=True)}


def _arrow(values: Array) -> pa.Array:
    return pa.array(values, pa.string()) if values.dtype == object else pa.array(values)


def _numpy(column: pa.Array) -> Array:
    values: Array = column.to_numpy(zero_copy_only=False)
    return values if len(values) or column.type != pa.string() else np.empty(0, object)


def _stream(columns: Mapping[str, pa.Array]) -> bytes:
    sink = pa.BufferOutputStream()
    batch = pa.RecordBatch.from_pydict(dict(columns))
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _read(content: bytes) -> dict[str, pa.Array]:
    batches: Sequence[pa.RecordBatch] = list(pa.ipc.open_stream(content))
    return {name: batches[0].column(name) for name in batches[0].schema.names} if batches else {}

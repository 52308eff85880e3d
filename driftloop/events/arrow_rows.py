"""Reads the Arrow rows that events carry."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from driftloop.process.errors import InvalidEvent

REASON = "malformed-rows"
POSITION_COLUMNS: Mapping[str, pa.DataType] = {
    "event_time_ms": pa.int64(),
    "arrival_watermark_ms": pa.int64(),
    "source_partition": pa.int32(),
    "source_offset": pa.int64(),
}
"""Columns that every row has, without nulls."""


def read_rows(content: bytes, num_rows: int) -> pa.RecordBatch:
    """Return the record batch of an Arrow IPC stream, checked in full before any value is used.

    Arrow reads damaged streams without complaint, and using their values can crash the process: offsets that point
    outside a buffer, lengths that buffers do not have, text that is not UTF-8. Hence the full validation.

    Raises:
        InvalidEvent: the bytes are not such a stream, it does not have ``num_rows`` rows, or a position is missing.
    """
    try:
        with pa.ipc.open_stream(content) as stream:
            _check_types(stream.schema)
            batch = stream.read_next_batch()
        batch.validate(full=True)
        incomplete = [name for name in POSITION_COLUMNS if batch.column(name).null_count]
    except (pa.ArrowException, OSError, StopIteration, KeyError, UnicodeDecodeError) as error:  # names may be damaged
        raise InvalidEvent(REASON, str(error) or "the stream has no rows") from error
    if batch.num_rows != num_rows:
        raise InvalidEvent(REASON, f"the stream has {batch.num_rows} rows, but the event says {num_rows}")
    if incomplete:
        raise InvalidEvent(REASON, f"a row has no {incomplete[0]}")
    return batch


def _check_types(schema: pa.Schema) -> None:
    for name, kind in POSITION_COLUMNS.items():
        if schema.get_all_field_indices(name) == [] or schema.field(name).type != kind:
            raise InvalidEvent(REASON, f"the rows need one column {name} of type {kind}")
    if len(set(schema.names)) < len(schema.names):
        raise InvalidEvent(REASON, "a column's name is repeated")
    for field in schema:
        if not (pa.types.is_primitive(field.type) or pa.types.is_string(field.type) or pa.types.is_binary(field.type)):
            raise InvalidEvent(REASON, f"column {field.name} has type {field.type}, which no event type has")

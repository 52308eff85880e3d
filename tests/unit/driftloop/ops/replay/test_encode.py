from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from driftloop.bus.ports import Outgoing
from driftloop.events.raw_watermark import watermark
from driftloop.loop import Loop, load_loop
from driftloop.ops.replay.encode import Events, events_of
from driftloop.process.settings import ROOT

PLACED = "orders.placed"
TABLE = pa.table(
    {
        "uid": ["a", "b", "c"],
        "at_ms": pa.array([10, 20, 20], pa.int64()),
        "order_ref": ["o-1", "o-2", "ö-3"],
        "shop": ["delft", "delft", "gouda"],
        "channel": ["web", "phone", "web"],
        "lines": pa.array([1, 2, 0], pa.int64()),
        "basket_cents": [100.0, None, 0.0],
        "promised_ms": pa.array([50, 60, 70], pa.int64()),
    }
)


@pytest.fixture(scope="module")
def loop() -> Loop:
    return load_loop(ROOT / "tests" / "loops" / "orders")


def _all(events: Events) -> list[Outgoing]:
    return events.between(0, 1000)


def test_rows_become_protobuf_keyed_by_the_events_key(loop: Loop) -> None:
    message = loop.messages[PLACED]
    records = _all(events_of(PLACED, loop.definition.events[PLACED], message, TABLE, "protobuf"))
    assert [record.key for record in records] == [b"o-1", b"o-2", "ö-3".encode()]
    assert {record.topic for record in records} == {PLACED}
    assert {record.headers for record in records} == {(("content-type", b"application/protobuf"),)}
    first, second, third = (message.FromString(record.value or b"") for record in records)
    assert (first.order_ref, first.basket_cents) == ("o-1", 100.0)  # type: ignore[attr-defined]
    assert not second.HasField("basket_cents")
    assert third.HasField("basket_cents")


def test_rows_become_json_without_nulls(loop: Loop) -> None:
    records = _all(events_of(PLACED, loop.definition.events[PLACED], loop.messages[PLACED], TABLE, "json"))
    rows = [json.loads(record.value or b"") for record in records]
    assert rows[0] == {name: column[0].as_py() for name, column in zip(TABLE.column_names, TABLE.columns, strict=True)}
    assert "basket_cents" not in rows[1]
    assert records[0].headers == (("content-type", b"application/json"),)


def test_a_column_without_a_field_is_refused(loop: Loop) -> None:
    with pytest.raises(ValueError, match="colour"):
        events_of(
            PLACED,
            loop.definition.events[PLACED],
            loop.messages[PLACED],
            TABLE.append_column("colour", pa.array(["red"] * 3)),
            "protobuf",
        )


def test_a_step_has_its_start_and_not_its_end(loop: Loop) -> None:
    events = events_of(PLACED, loop.definition.events[PLACED], loop.messages[PLACED], TABLE, "json")
    assert events.time_ms.dtype == np.int64
    spans = ((0, 10), (10, 20), (20, 21), (21, 99), (0, 99))
    cut = [len(events.between(start, end)) for start, end in spans]
    assert cut == [0, 1, 2, 0, 3]
    assert cut == [events.count(start, end) for start, end in spans]


def test_a_watermark_is_an_empty_record_for_one_partition() -> None:
    record = watermark(PLACED, 1, 1_700_000_000_000)
    assert (record.topic, record.key, record.value, record.partition) == (PLACED, None, None, 1)
    assert record.headers == (("driftloop-watermark", b"1700000000000"),)

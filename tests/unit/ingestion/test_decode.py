"""Decoding, held against protobuf's own JSON parser."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from driftloop.bus.ports import Record
from services.ingestion.bootstrap import compile_loops
from services.ingestion.domain.decode import Decoded, Decoder
from services.ingestion.domain.schema import EventSchema
from tests.unit.ingestion.fixtures import PLACED, placed, write_loop


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> EventSchema:
    folder: Path = tmp_path_factory.mktemp("loops")
    return compile_loops([write_loop(folder)])[0].schemas[PLACED]


def records(*values: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> list[Record]:
    return [Record(PLACED, 0, offset, None, value, headers) for offset, value in enumerate(values)]


def decode(schema: EventSchema, *values: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> Decoded:
    return Decoder(schema, 4096).decode(records(*values, headers=headers))


def by_protobuf(schema: EventSchema, value: bytes) -> dict[str, Any] | None:
    """What protobuf's parser makes of it; None where it refuses, or rounds an integer."""
    names = {field.json_name: field.name for field in schema.message.DESCRIPTOR.fields}
    try:
        message: Any = json_format.Parse(value, schema.message(), ignore_unknown_fields=True)
        members = [(names.get(name, name), member) for name, member in json.loads(value, parse_float=Decimal).items()]
        if not all(is_exact(member) for name, member in members if name in INTEGERS):
            return None
    except (json_format.ParseError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    read = {column.name: getattr(message, column.name) for column in schema.columns}
    return {
        name: None if schema.by_name[name].optional and not message.HasField(name) else value
        for name, value in read.items()
    }


INTEGERS = {"placed_ms", "order_id", "count", "size", "total"}


def is_exact(member: Any) -> bool:
    if isinstance(member, str):
        return re.fullmatch("-?[0-9]+", member) is not None
    return not isinstance(member, Decimal) or (abs(member) <= 2**53 and int(member) == member)


_EDGES = [2**31, 2**32 - 1, 2**53 + 1, 2**63 - 1]
_WHOLE = st.one_of(st.integers(-10, 10), st.integers(-(2**70), 2**70), st.sampled_from(_EDGES))
_SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    _WHOLE,
    _WHOLE.map(str),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats().map(str),
    st.text(max_size=4),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "1.0", "1e3", " 1", "true", [], {}, [1]]),
)
_NAMES = ["uid", "placed_ms", "placedMs", "order_id", "orderId", "shop", "amount", "count", "express_way", "expressWay"]
_NAMES += ["note", "weight", "size", "ratio", "total", "strange"]


@given(st.lists(st.tuples(st.sampled_from(_NAMES), _SCALAR), max_size=6), st.booleans())
def test_json_is_read_as_protobuf_reads_it(
    schema: EventSchema, members: list[tuple[str, Any]], ascii_only: bool
) -> None:
    inside = ", ".join(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=ascii_only)}" for name, value in members)
    try:
        value = f"{{{inside}}}".encode()
    except UnicodeEncodeError:
        return
    expected = by_protobuf(schema, value)
    decoded = decode(schema, value)
    assert (len(decoded.rejected) == 0) == (expected is not None), (value, expected, decoded.rejected)
    if expected is not None:
        assert repr(decoded.rows.to_pylist()[0]) == repr(expected), value


@given(st.binary(max_size=40), st.sampled_from([b"", b"{", b'{"uid": ', b"\x0a\x02"]))
def test_no_bytes_crash_the_decoder_or_affect_other_records(schema: EventSchema, noise: bytes, start: bytes) -> None:
    good = json.dumps(placed("good")).encode()
    decoded = decode(schema, good, start + noise, good)
    assert decoded.rows.num_rows + len(decoded.rejected) == 3
    assert {0, 2} <= set(decoded.positions.tolist())


@given(
    st.fixed_dictionaries(
        {"uid": st.text(), "order_id": st.integers(-(2**63), 2**63 - 1), "size": st.integers(0, 2**32 - 1)},
        optional={
            "count": st.integers(-(2**31), 2**31 - 1),
            "weight": st.floats(allow_nan=False),
            "express_way": st.booleans(),
            "ratio": st.floats(width=32, allow_nan=False),
            "total": st.integers(-(2**63), 2**63 - 1),
        },
    )
)
def test_a_message_gives_equal_rows_as_protobuf_and_as_json(schema: EventSchema, fields: dict[str, Any]) -> None:
    message = schema.message(**fields)
    text = json_format.MessageToJson(message, preserving_proto_field_name=True).encode()
    binary = (("content-type", b"application/protobuf"),)
    [first] = decode(schema, message.SerializeToString(), headers=binary).rows.to_pylist() or [None]
    [second] = decode(schema, text).rows.to_pylist()
    if message.SerializeToString():
        assert first == second


def test_formats_can_be_mixed_and_rows_keep_their_order(schema: EventSchema) -> None:
    names = ["a", "b", "c", "d"]
    as_protobuf = [schema.message(**placed(name)).SerializeToString() for name in names]
    as_json = [json.dumps(placed(name)).encode() for name in names]
    decoded = decode(schema, as_json[0], as_protobuf[1], b"\xff", as_json[2], as_protobuf[3])
    assert decoded.rows.column("uid").to_pylist() == names
    assert decoded.positions.tolist() == [0, 1, 3, 4]
    assert [fault.reason for fault in decoded.rejected] == ["malformed-protobuf"]


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (None, (), "empty"),
        (b"", (), "empty"),
        (b"{" + b" " * 5000 + b"}", (), "too-large"),
        (b"<order/>", (("content-type", b"text/xml"),), "content-type"),
        (b"{}", (("content-type", b"\xff\xfe"),), "content-type"),
        (b"[1]", (("content-type", b"application/json"),), "malformed-json"),
        (b'{"uid": "a"', (), "malformed-json"),
        (b'{"uid": "a", "uid": "b"}', (), "malformed-json"),
        (b'{"uid": "a", "order_id": 1.285704473650888702e18}', (), "malformed-json"),
        (b'{"uid": "a", "orderId": "1.285704473650888702e18"}', (), "malformed-json"),
        (b'{"uid": "a", "order_id": 9007199254740993.0}', (), "malformed-json"),
        (b'{"uid": "a", "order_id": 1.0000000000000000001}', (), "malformed-json"),
        (b'{"uid": "a", "count": "1_0"}', (), "malformed-json"),
        (b'{"uid": "a", "size": "1e3"}', (), "malformed-json"),
        (b'{"a\\n": ' + b"[" * 1500 + b"]" * 1500 + b"}", (), "malformed-json"),
        (b'{"uid": "\xff"}', (), "malformed-json"),
        (b"\x0a\xff", (), "malformed-protobuf"),
        (b"\x0a\x01\xff", (), "malformed-protobuf"),
    ],
)
def test_an_unreadable_record_is_rejected_with_the_reason(
    schema: EventSchema, value: bytes | None, headers: tuple[tuple[str, bytes], ...], reason: str
) -> None:
    [fault] = decode(schema, value, headers=headers).rejected
    assert fault.reason == reason


@pytest.mark.parametrize("declared", [(), (("content-type", b"application/json"),)])
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b'\xef\xbb\xbf{"uid": "a"}', "byte order mark"),
        ('{"uid": "a"}'.encode("utf-16"), "UTF-16"),
        ('{"uid": "a"}'.encode("utf-16-be"), "UTF-16"),
        (b'[{"uid": "a"}]', "array"),
        (b' "{\\"uid\\": \\"a\\"}"', "string"),
        (gzip.compress(mtime=0, data=b'{"uid": "a"}'), "gzip"),
        (b"\x00\x00\x00\x00\x07\x0a\x01a", "schema registry"),
        (b"<order/>", "XML"),
    ],
)
def test_the_reason_names_what_was_found(
    schema: EventSchema, value: bytes, says: str, declared: tuple[tuple[str, bytes], ...]
) -> None:
    [fault] = decode(schema, value, headers=declared).rejected
    assert says in fault.detail
    assert fault.reason == ("malformed-json" if declared else "content-type")


def test_an_integer_in_float_notation_is_accepted_if_exact(schema: EventSchema) -> None:
    [row] = decode(schema, b'{"order_id": 1.5e3, "size": 2.0, "placed_ms": "17", "total": 1e15}').rows.to_pylist()
    assert (row["order_id"], row["size"], row["placed_ms"], row["total"]) == (1500, 2, 17, 10**15)


@pytest.mark.parametrize(
    "extra",
    [{"colour": "red"}, {"colour": 1.5}, {"colour": {"name": "red"}, "uid": "a\n"}, {"colour": [], "orderId": 4}],
)
def test_a_field_that_the_message_lacks_is_ignored_and_counted(schema: EventSchema, extra: dict[str, Any]) -> None:
    values = [json.dumps(placed(f"e{number}") | extra).encode() for number in range(3)]
    decoded = decode(schema, *values, json.dumps(placed("known")).encode())
    assert (decoded.rows.num_rows, decoded.rejected, decoded.unknown) == (4, [], {"colour": 3})


def test_a_protobuf_field_that_the_message_lacks_is_ignored_and_counted(schema: EventSchema) -> None:
    value = schema.message(**placed("a")).SerializeToString() + bytes([0xF8, 0x06, 5, 0xF8, 0x06, 6])
    decoded = decode(schema, value, headers=(("content-type", b"application/protobuf"),))
    assert (decoded.rows.column("uid").to_pylist(), decoded.unknown) == (["a"], {"number 111": 1})


@pytest.mark.parametrize(
    "value",
    [
        json.dumps(placed("a") | {"colour": "red"}).encode(),
        json.dumps(placed("a\n") | {"colour": {"name": "red"}}).encode(),
        b"\x0a\x01a\xf8\x06\x05",
    ],
)
def test_an_unknown_field_is_refused_if_the_event_says_so(schema: EventSchema, value: bytes) -> None:
    decoded = decode(replace(schema, refuse_unknown=True), value)
    assert [fault.reason for fault in decoded.rejected] == ["unknown-field"]
    assert decoded.unknown == {}


def test_content_type_may_carry_parameters(schema: EventSchema) -> None:
    header = (("content-type", b"Application/JSON; charset=utf-8"),)
    assert decode(schema, b' {"uid": "a"}', headers=header).rows.num_rows == 1

"""Expected bytes. tests/integration/features/test_online.py compares the same functions with Feast."""

from __future__ import annotations

import math
import struct

import mmh3
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from driftloop.featurestore.feast_keys import (
    EntityKeys,
    pack_double,
    pack_string,
    pack_time,
    redis_field,
    redis_key,
    redis_time_field,
    sqlite_table,
    unpack_time,
    unpack_value,
)


def test_an_int64_key_has_the_layout_that_feast_documents() -> None:
    want = struct.pack("<III", 1, 2, 2) + b"id" + struct.pack("<IIq", 4, 8, 7)
    assert EntityKeys(("id",)).serialize((7,)) == want


def test_join_keys_are_serialised_in_alphabetical_order() -> None:
    straight = EntityKeys(("a", "b")).serialize(("x", 1))
    assert EntityKeys(("b", "a")).serialize((1, "x")) == straight
    assert straight.startswith(struct.pack("<III", 2, 2, 1) + b"a" + struct.pack("<II", 2, 1) + b"b")


@given(st.floats(allow_nan=False))
def test_a_double_is_equal_after_packing(value: float) -> None:
    assert unpack_value(pack_double(value)) == value


@given(st.text(max_size=400))
def test_a_string_is_equal_after_packing(value: str) -> None:
    assert unpack_value(pack_string(value)) == value


def test_missing_values_are_unset_values() -> None:
    assert pack_double(math.nan) == pack_string(None) == b""
    assert unpack_value(b"") is None


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="neither a double nor a string"):
        unpack_value(b"\x20\x01")


def test_names_of_tables() -> None:
    assert sqlite_table("v") == "driftloop_v"


@given(st.text(max_size=40))
def test_fields_of_redis_hashes_are_feasts(name: str) -> None:
    value = mmh3.hash(f"v:{name}", signed=False)
    assert redis_field("v", name) == struct.pack("<I", value)


def test_keys_and_times_of_redis_hashes() -> None:
    assert redis_key(b"key") == b"keydriftloop"
    assert redis_time_field("v") == b"_ts:v"


@given(st.integers(0, 2**52))
def test_a_time_is_a_protobuf_timestamp(time_ms: int) -> None:
    packed = pack_time(time_ms)
    assert packed == Timestamp(seconds=time_ms // 1000, nanos=time_ms % 1000 * 1_000_000).SerializeToString()
    assert unpack_time(packed) == time_ms


def test_it_imports_nothing_but_the_standard_library() -> None:
    import ast
    import sys
    from pathlib import Path

    import driftloop.featurestore.feast_keys

    tree = ast.parse(Path(driftloop.featurestore.feast_keys.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names | {"__future__"}

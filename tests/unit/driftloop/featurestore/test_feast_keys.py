"""Expected bytes. tests/integration/features/test_online.py compares the same functions with Feast."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.featurestore.feast_keys import (
    EntityKeys,
    pack_double,
    pack_string,
    sqlite_table,
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


def test_it_imports_nothing_but_the_standard_library() -> None:
    import ast
    import sys
    from pathlib import Path

    import driftloop.featurestore.feast_keys

    tree = ast.parse(Path(driftloop.featurestore.feast_keys.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names | {"__future__"}

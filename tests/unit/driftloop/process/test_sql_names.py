from __future__ import annotations

import sqlite3

import duckdb
import pytest

from driftloop.process.sql_names import quote_name


@pytest.mark.parametrize("name", ["plain", "two words", 'a"b', "select", "a;--"])
def test_a_quoted_name_works_as_a_column_name(name: str) -> None:
    query = f"SELECT 1 AS {quote_name(name)}"
    assert sqlite3.connect(":memory:").execute(query).description[0][0] == name
    assert [column[0] for column in duckdb.connect().execute(query).description or []] == [name]

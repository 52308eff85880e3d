"""What a loop provides for a replay is checked against its definition: one edit of a valid loop each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.loop import load_loop
from driftloop.ops.replay.check import check_past
from tests.helpers.editing import copied_orders, replace_first, reported_line

DAY_MS = 86_400_000
START_MS = 1_600_000_000_000 // DAY_MS * DAY_MS

SOURCE = {
    "event misspelt": ('"orders.inspected": pa.table', '"orders.inspcted": pa.table', "returns 'orders.inspcted'"),
    "column misspelt": ('"channel": np.array', '"chanel": np.array', "a column 'chanel'"),
    "key missing": (
        '"order_ref": ref,\n                "shop": np.array(SHOPS)[shop],\n                "channel"',
        '"shop": np.array(SHOPS)[shop],\n                "channel"',
        "no column 'order_ref'",
    ),
    "time as a float": (
        '"at_ms": at_ms,\n                "order_ref": ref,',
        '"at_ms": at_ms * 1.0,\n                "order_ref": ref,',
        "'at_ms' of orders.placed is double",
    ),
    "value of another type": ('"lines": lines,', '"lines": np.array(SHOPS)[shop],', "TypeError|ValueError"),
    "undefined name in a helper": ("time = table[", "time = tabel[", "'tabel' is not defined"),
    "other signature": ("def events(start_ms: int, end_ms: int)", "def events(start_ms: int)", "TypeError"),
    "other result": ("return {name: _between(", "return [] and {name: _between(", "events returns list"),
}
"""Edits of ``source.py``: old text, new text, and what the report says."""

REQUESTS = {
    "input missing": ('        "channel": placed["channel"],\n', "", "no column 'channel'"),
    "input misspelt": ('"basket_cents": pc', '"basket": pc', "no column 'basket_cents'"),
    "key missing": ('        "order_ref": placed["order_ref"],\n', "", "order_ref"),
    "decision time misspelt": ('"decision_time_ms": placed', '"decided_ms": placed', "decision_time_ms"),
    "number as a string": ('"lines": placed["lines"]', '"lines": placed["shop"]', "'lines' of requests is string"),
    "string as a number": ('placed["channel"]', 'placed["lines"]', "'channel' of requests is int64"),
    "missing number as null": (
        'pc.fill_null(placed["basket_cents"], float("nan"))',
        'placed["basket_cents"]',
        "NaN is a missing number",
    ),
    "column of no event": ('placed["shop"]', 'placed["shopp"]', "KeyError"),
    "event of no type": ('events["orders.placed"]', 'events["orders.placd"]', "KeyError"),
    "undefined name": ("pa.table(columns)", "pa.table(colums)", "'colums' is not defined"),
}
"""Edits of ``requests.py``."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a copy of a valid loop; its modules are imported again."""
    with copied_orders(tmp_path) as copy:
        yield copy


def test_a_valid_past_has_no_problem(folder: Path) -> None:
    assert check_past(load_loop(folder), START_MS, START_MS + 2 * DAY_MS) == []


@pytest.mark.parametrize(("old", "new", "says"), SOURCE.values(), ids=SOURCE)
def test_an_edit_of_the_source_is_reported_at_its_line(folder: Path, old: str, new: str, says: str) -> None:
    _assert_reported(folder, "source.py", old, new, says)


@pytest.mark.parametrize(("old", "new", "says"), REQUESTS.values(), ids=REQUESTS)
def test_an_edit_of_the_requests_is_reported_at_its_line(folder: Path, old: str, new: str, says: str) -> None:
    _assert_reported(folder, "requests.py", old, new, says)


def _assert_reported(folder: Path, name: str, old: str, new: str, says: str) -> None:
    replace_first(folder / name, old, new)
    reported_line(check_past(load_loop(folder), START_MS, START_MS + 2 * DAY_MS), folder / name, says)

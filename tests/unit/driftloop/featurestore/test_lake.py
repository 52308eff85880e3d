from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake.exceptions import TableNotFoundError

from driftloop.featurestore.lake import LakeTable, Recorded


def _rows(*numbers: int) -> pa.Table:
    return pa.table({"number": pa.array(numbers, pa.int64())})


def _numbers(table: LakeTable) -> list[int]:
    return sorted(table.read().column("number").to_pylist())


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    return LakeTable(tmp_path / "deep" / "table")


def test_a_table_without_appends_does_not_exist(table: LakeTable) -> None:
    assert not table.exists()
    assert (table.version(), table.transaction_version("app")) == (-1, -1)
    with pytest.raises(TableNotFoundError):
        table.read()


def test_appends_add_rows(table: LakeTable) -> None:
    first = table.append(_rows(1, 2), {"app": 1})
    assert table.append(_rows(3), {"app": 2}) == first + 1
    assert (table.exists(), table.version(), table.transaction_version("app")) == (True, first + 1, 2)
    assert _numbers(table) == [1, 2, 3]


def test_a_repeat_adds_no_rows_and_no_version(table: LakeTable) -> None:
    first = table.append(_rows(1), {"app": 5})
    for version in (5, 4):
        assert table.append(_rows(1), {"app": version}) == first
    assert LakeTable(table.path).append(_rows(1), {"app": 5}) == first
    assert _numbers(table) == [1]


def test_each_application_has_its_own_version(table: LakeTable) -> None:
    table.append(_rows(1), {"left": 1, "right": 7})
    table.append(_rows(2), {"left": 2})
    assert (table.transaction_version("left"), table.transaction_version("right")) == (2, 7)
    table.append(_rows(3), {"left": 2, "right": 8})  # only right is newer: the caller passed only its rows
    assert (table.transaction_version("left"), table.transaction_version("right")) == (2, 8)
    assert _numbers(table) == [1, 2, 3]


def test_appends_without_an_application_are_never_repeats(table: LakeTable) -> None:
    table.append(_rows(1), {})
    table.append(_rows(1), {})
    assert _numbers(table) == [1, 1]


def test_an_older_version_can_be_read(table: LakeTable) -> None:
    first = table.append(_rows(1), {"app": 1})
    table.append(_rows(2), {"app": 2})
    assert table.read(first).column("number").to_pylist() == [1]


def test_a_handle_sees_the_rows_of_another(table: LakeTable) -> None:
    other = LakeTable(table.path)
    assert not other.exists()
    table.append(_rows(1), {"app": 1})
    assert other.transaction_version("app") == 1
    assert other.append(_rows(2), {"app": 2}) == table.version()
    assert _numbers(table) == [1, 2]


def test_two_writers_of_the_same_appends_write_each_once(table: LakeTable) -> None:
    """This happens when a process is restarted while the old one still writes."""
    failures: list[BaseException] = []

    def write() -> None:
        own = LakeTable(table.path)
        try:
            for version in range(12):
                own.append(_rows(version), {"app": version})
        except BaseException as error:  # noqa: BLE001 - asserted below
            failures.append(error)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert failures == []
    assert _numbers(table) == list(range(12))
    assert table.transaction_version("app") == 11


def test_rows_are_chosen_again_when_another_writer_commits_first(table: LakeTable) -> None:
    other, seen = LakeTable(table.path), list[int]()

    def missing(recorded: Recorded) -> pa.Table:
        seen.append(recorded("app"))
        other.append(_rows(1), {"app": 1})
        return _rows(*range(seen[-1] + 1, 3))

    table.append(_rows(0), {"app": 0})
    table.append_missing(missing, {"app": 2})
    assert seen == [0, 1]
    assert _numbers(table) == [0, 1, 2]


def test_rows_are_chosen_again_when_another_writer_creates_the_table(table: LakeTable) -> None:
    other, seen = LakeTable(table.path), list[int]()

    def missing(recorded: Recorded) -> pa.Table:
        seen.append(recorded("app"))
        other.append(_rows(0), {"app": 0})
        return _rows(*range(seen[-1] + 1, 2))

    table.append_missing(missing, {"app": 1})
    assert seen == [-1, 0]
    assert _numbers(table) == [0, 1]


def test_nothing_is_committed_when_no_row_is_missing(table: LakeTable) -> None:
    first = table.append(_rows(0), {"app": 0})
    assert table.append_missing(lambda _: None, {"app": 1}) == first
    assert table.transaction_version("app") == 0


def test_writers_of_different_applications_do_not_disturb_each_other(table: LakeTable) -> None:
    failures: list[BaseException] = []

    def write(app: str, start: int) -> None:
        own = LakeTable(table.path)
        try:
            for version in range(6):
                own.append(_rows(start + version), {app: version})
        except BaseException as error:  # noqa: BLE001 - asserted below
            failures.append(error)

    writers = [threading.Thread(target=write, args=(f"app-{n}", n * 100)) for n in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert failures == []
    assert _numbers(table) == [*range(6), *range(100, 106)]

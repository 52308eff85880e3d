import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.serving.adapters.spool_reader import SpoolReader
from services.serving.router.spool import SpoolError, SpoolWriter, frame, segment_path, segments, unframe


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel cuts writes behind this size short, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def read_all(folder: Path) -> list[bytes]:
    return list(SpoolReader(folder, "parcels").read({})[0])


@given(st.lists(st.lists(st.binary(max_size=50), min_size=1), max_size=8), st.integers(0, 200))
def test_a_cut_anywhere_gives_the_whole_batches_before_it(batches: list[list[bytes]], cut: int) -> None:
    data = b"".join(map(frame, batches))
    records, taken = unframe(data[:cut])
    whole = [batch for at, batch in enumerate(batches) if sum(len(frame(b)) for b in batches[: at + 1]) <= cut]
    assert records == [record for batch in whole for record in batch]
    assert taken == sum(len(frame(batch)) for batch in whole)


def test_a_changed_byte_is_not_taken_for_a_record() -> None:
    data = bytearray(frame([b"one", b"two"]))
    data[-1] ^= 1
    assert unframe(bytes(data)) == ([], 0)


def test_records_come_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.write([b"1", b"2"])
    writer.write([b"3"])
    assert read_all(tmp_path) == [b"1", b"2", b"3"]


def test_a_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    writer, reader = SpoolWriter(tmp_path), SpoolReader(tmp_path, "parcels")
    writer.write([b"1"])
    _, positions = reader.read({})
    writer.write([b"2"])
    assert reader.read(positions)[0] == [b"2"]


def test_a_segment_rolls_by_size_and_is_dropped_when_it_was_read(tmp_path: Path) -> None:
    writer, reader = SpoolWriter(tmp_path, segment_bytes=100), SpoolReader(tmp_path, "parcels")
    for n in range(10):
        writer.write([b"x" * 30 + b"%d" % n])
    assert len(segments(tmp_path)) == 5
    records, positions = reader.read({})
    assert len(records) == 10
    kept = reader.drop_complete(positions)
    assert segments(tmp_path) == list(kept) == [5]
    assert reader.read(kept)[0] == []


def test_an_unread_segment_is_not_dropped(tmp_path: Path) -> None:
    writer, reader = SpoolWriter(tmp_path, segment_bytes=10), SpoolReader(tmp_path, "parcels")
    writer.write([b"first"])
    writer.write([b"second"])
    reader.drop_complete({})
    assert read_all(tmp_path) == [b"first", b"second"]


def test_a_segment_that_another_router_still_writes_is_not_dropped(tmp_path: Path) -> None:
    old, new = SpoolWriter(tmp_path), SpoolWriter(tmp_path)
    reader = SpoolReader(tmp_path, "parcels")
    new.write([b"new"])
    positions = reader.drop_complete(reader.read({})[1])
    old.write([b"old, later"])
    assert reader.read(positions)[0] == [b"old, later"]
    old.close()
    reader.drop_complete(reader.read(positions)[1])
    assert segments(tmp_path) == [2]


def test_a_new_writer_never_takes_a_number_again(tmp_path: Path) -> None:
    writer, reader = SpoolWriter(tmp_path), SpoolReader(tmp_path, "parcels")
    writer.write([b"1"])
    writer.close()
    reader.drop_complete(reader.read({})[1])
    SpoolWriter(tmp_path)
    assert segments(tmp_path) == [1, 2]


def test_a_torn_tail_of_a_dead_router_is_passed_over(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from services.serving.router.spool import *\n"
        "w = SpoolWriter(Path(sys.argv[1])); w.write([b'whole'])\n"
        "os.write(w._file, frame([b'torn'])[:-2]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    reader = SpoolReader(tmp_path, "parcels")
    SpoolWriter(tmp_path).write([b"next"])
    records, positions = reader.read({})
    assert records == [b"whole", b"next"]
    reader.drop_complete(positions)
    assert segments(tmp_path) == [2]


def test_a_full_disk_refuses_the_batch_and_the_next_goes_to_a_new_segment(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.write([b"before"])
    size = segment_path(tmp_path, 1).stat().st_size
    with largest_file(size + 5), pytest.raises(SpoolError):
        writer.write([b"does not fit"])
    writer.write([b"after"])
    assert read_all(tmp_path) == [b"before", b"after"]
    assert segments(tmp_path) == [1, 2]

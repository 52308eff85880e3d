import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.process.settings import ROOT
from services.serving.adapters.spool_reader import SpoolReader
from services.serving.router.spool import SpoolError, SpoolWriter, frame, segment_path, segments, unframe


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Make the kernel cut writes beyond this size short, like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def read_all(folder: Path) -> list[bytes]:
    return list(SpoolReader(folder, "parcels").read({})[0])


@given(st.lists(st.lists(st.binary(max_size=50), min_size=1), max_size=8), st.integers(0, 200))
def test_a_truncated_segment_gives_the_complete_batches(batches: list[list[bytes]], cut: int) -> None:
    data = b"".join(map(frame, batches))
    records, length = unframe(data[:cut])
    complete = [batch for n, batch in enumerate(batches, 1) if sum(len(frame(b)) for b in batches[:n]) <= cut]
    assert records == [record for batch in complete for record in batch]
    assert length == sum(len(frame(batch)) for batch in complete)


def test_a_changed_byte_invalidates_the_frame() -> None:
    data = bytearray(frame([b"one", b"two"]))
    data[-1] ^= 1
    assert unframe(bytes(data)) == ([], 0)


def test_a_batch_of_any_size_is_read_whole(tmp_path: Path) -> None:
    """256 rows with long ids and inputs once made a frame that no read returned, and that was deleted as torn."""
    writer, reader = SpoolWriter(tmp_path), SpoolReader(tmp_path, "parcels")
    batch = [bytes([row]) * 100_000 for row in range(256)]
    writer.write(batch)
    writer.write([b"next"])
    records: list[bytes] = []
    positions: dict[int, int] = {}
    while True:
        more, positions = reader.read(positions)
        if not more:
            break
        records += more
        positions = reader.drop_complete(positions)
    assert records == [*batch, b"next"]


def test_a_frame_longer_than_a_read_is_returned_and_never_deleted(tmp_path: Path) -> None:
    """Older routers wrote a batch as one frame."""
    segment_path(tmp_path, 1).write_bytes(frame([b"a" * 50, b"b" * 50]) + frame([b"c"]))
    SpoolWriter(tmp_path).write([b"d"])
    reader = SpoolReader(tmp_path, "parcels", read_bytes=16)
    records, positions = reader.read({})
    assert records == [b"a" * 50, b"b" * 50]
    assert reader.drop_complete(positions) == positions
    records, positions = reader.read(positions)
    assert records == [b"c"]
    assert reader.read(reader.drop_complete(positions))[0] == [b"d"]


def test_a_read_of_many_segments_is_limited(tmp_path: Path) -> None:
    writer, reader = SpoolWriter(tmp_path, segment_bytes=50), SpoolReader(tmp_path, "parcels", read_bytes=100)
    for number in range(20):
        writer.write([b"%03d" % number * 10])
    records: list[bytes] = []
    positions: dict[int, int] = {}
    reads = 0
    while (read := reader.read(positions))[0]:
        assert len(read[0]) <= 4
        records += read[0]
        positions = reader.drop_complete(read[1])
        reads += 1
    assert records == [b"%03d" % number * 10 for number in range(20)]
    assert reads >= 5


def test_a_segment_with_a_damaged_frame_is_set_aside(tmp_path: Path) -> None:
    damaged = bytearray(frame([b"damaged"]))
    damaged[-1] ^= 1
    segment_path(tmp_path, 1).write_bytes(frame([b"whole"]) + bytes(damaged) + frame([b"after"]))
    SpoolWriter(tmp_path).write([b"next"])
    reader = SpoolReader(tmp_path, "parcels")
    records, positions = reader.read({})
    assert records == [b"whole", b"next"]
    reader.drop_complete(positions)
    assert segments(tmp_path) == [2]
    assert segment_path(tmp_path, 1).with_suffix(".corrupt").read_bytes().endswith(frame([b"after"]))


def test_records_are_read_in_write_order(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.write([b"1", b"2"])
    writer.write([b"3"])
    assert read_all(tmp_path) == [b"1", b"2", b"3"]


def test_a_reader_continues_at_its_position(tmp_path: Path) -> None:
    writer, reader = SpoolWriter(tmp_path), SpoolReader(tmp_path, "parcels")
    writer.write([b"1"])
    _, positions = reader.read({})
    writer.write([b"2"])
    assert reader.read(positions)[0] == [b"2"]


def test_a_full_segment_rolls_and_is_deleted_after_reading(tmp_path: Path) -> None:
    writer, reader = SpoolWriter(tmp_path, segment_bytes=100), SpoolReader(tmp_path, "parcels")
    for n in range(10):
        writer.write([b"x" * 30 + b"%d" % n])
    assert len(segments(tmp_path)) == 5
    records, positions = reader.read({})
    assert len(records) == 10
    kept = reader.drop_complete(positions)
    assert segments(tmp_path) == list(kept) == [5]
    assert reader.read(kept)[0] == []


def test_an_unread_segment_is_kept(tmp_path: Path) -> None:
    writer, reader = SpoolWriter(tmp_path, segment_bytes=10), SpoolReader(tmp_path, "parcels")
    writer.write([b"first"])
    writer.write([b"second"])
    reader.drop_complete({})
    assert read_all(tmp_path) == [b"first", b"second"]


def test_a_segment_that_another_router_writes_is_kept(tmp_path: Path) -> None:
    old, new = SpoolWriter(tmp_path), SpoolWriter(tmp_path)
    reader = SpoolReader(tmp_path, "parcels")
    new.write([b"new"])
    positions = reader.drop_complete(reader.read({})[1])
    old.write([b"old, later"])
    assert reader.read(positions)[0] == [b"old, later"]
    old.close()
    reader.drop_complete(reader.read(positions)[1])
    assert segments(tmp_path) == [2]


def test_a_new_writer_never_reuses_a_segment_number(tmp_path: Path) -> None:
    writer, reader = SpoolWriter(tmp_path), SpoolReader(tmp_path, "parcels")
    writer.write([b"1"])
    writer.close()
    reader.drop_complete(reader.read({})[1])
    SpoolWriter(tmp_path)
    assert segments(tmp_path) == [1, 2]


def test_the_torn_tail_of_a_killed_router_is_skipped(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from services.serving.router.spool import SpoolError
from tests.unit.serving.router.test_spool import SpoolWriter, largest_file, segment_path
writer = SpoolWriter(Path(sys.argv[1]))
writer.write([b"whole"])
try:
    with largest_file(segment_path(Path(sys.argv[1]), 1).stat().st_size + 10):
        writer.write([b"torn"])
except SpoolError:
    os.kill(os.getpid(), 9)
"""
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert segment_path(tmp_path, 1).stat().st_size > len(frame([b"whole"]))
    reader = SpoolReader(tmp_path, "parcels")
    SpoolWriter(tmp_path).write([b"next"])
    records, positions = reader.read({})
    assert records == [b"whole", b"next"]
    reader.drop_complete(positions)
    assert segments(tmp_path) == [2]


def test_after_a_full_disk_the_next_batch_starts_a_segment(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.write([b"before"])
    size = segment_path(tmp_path, 1).stat().st_size
    with largest_file(size + 5), pytest.raises(SpoolError):
        writer.write([b"does not fit"])
    writer.write([b"after"])
    assert read_all(tmp_path) == [b"before", b"after"]
    assert segments(tmp_path) == [1, 2]

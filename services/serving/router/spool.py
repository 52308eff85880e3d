"""The prediction log on disk: segment files of framed records, written before an answer is sent.

A frame holds records of one batch: body length and CRC-32 of the body (little-endian uint32 each), then the body: each
record after its length. So a frame is stored completely or not at all; only a batch of over 4 MiB takes several.
One write stores a batch without a sync: it survives a crash of the process, not of the machine. One process writes a
segment and locks it until it is complete. The kernel drops the lock of a killed process, so a reader can tell a torn
tail from a frame that is still being written.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

SUFFIX = ".spool"
HEADER = struct.Struct("<II")
LENGTH = struct.Struct("<I")
SEGMENT_BYTES = 8 << 20
MAX_RECORD_BYTES = 1_000_000
"""The router refuses a request with a longer record: the broker takes records of up to 8 MB."""
_FRAME_BYTES = 4 << 20


class SpoolError(Exception):
    """A batch could not be written completely."""


def frame(records: Sequence[bytes]) -> bytes:
    """Return a batch in the format of a segment."""
    body = b"".join([LENGTH.pack(len(record)) + record for record in records])
    return HEADER.pack(len(body), zlib.crc32(body)) + body


def frames(records: Sequence[bytes]) -> bytes:
    """Return a batch as frames of at most 4 MiB of records, or of one record."""
    start = size = 0
    content = []
    for end, record in enumerate(records):
        if size and size + len(record) > _FRAME_BYTES:
            content.append(frame(records[start:end]))
            start, size = end, 0
        size += len(record)
    content.append(frame(records[start:]))
    return b"".join(content)


def first_frame_bytes(data: bytes) -> int:
    """Return the length of the frame that begins ``data``, which may hold less of it; 0 without a whole header."""
    return HEADER.size + HEADER.unpack_from(data)[0] if len(data) >= HEADER.size else 0


def unframe(data: bytes) -> tuple[list[bytes], int]:
    """Return the records of the whole frames at the start of ``data``, and where the first incomplete frame begins."""
    records: list[bytes] = []
    offset = 0
    while offset + HEADER.size <= len(data):
        size, checksum = HEADER.unpack_from(data, offset)
        body = data[offset + HEADER.size : offset + HEADER.size + size]
        if len(body) < size or zlib.crc32(body) != checksum:
            break
        records += _records(body)
        offset += HEADER.size + size
    return records, offset


def segments(folder: Path) -> list[int]:
    """Return the segment numbers of a spool, oldest first."""
    return sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}"))


def segment_path(folder: Path, number: int) -> Path:
    """Return the path of a segment."""
    return folder / f"{number:012d}{SUFFIX}"


class SpoolWriter:
    """Appends batches to its own segment and starts the next when it is full. One thread writes and closes it."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._limit = segment_bytes
        self._written = 0
        self._torn = False
        self._file = self._begin()

    def write(self, records: Sequence[bytes]) -> None:
        """Write a batch in one call.

        Raises:
            SpoolError: the disk did not take the whole batch. The part it took is a torn tail, so the next batch
                starts a new segment.
        """
        data = frames(records)
        if self._torn or (self._written and self._written + len(data) > self._limit):
            self._roll()
        self._torn = True
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise SpoolError(f"{self._folder}: {error.strerror}") from error
        if written < len(data):
            raise SpoolError(f"{self._folder}: wrote {written} of {len(data)} bytes")
        self._torn = False
        self._written += written

    def close(self) -> None:
        """Complete the segment."""
        os.close(self._file)

    def _roll(self) -> None:
        try:
            file = self._begin()
        except OSError as error:
            raise SpoolError(f"{self._folder}: {error.strerror}") from error
        os.close(self._file)
        self._file, self._written, self._torn = file, 0, False

    def _begin(self) -> int:
        number = max(segments(self._folder), default=0) + 1
        while True:
            try:
                path = segment_path(self._folder, number)
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            except FileExistsError:
                number += 1
                continue
            fcntl.flock(file, fcntl.LOCK_EX)
            return file


def _records(body: bytes) -> list[bytes]:
    records = []
    offset = 0
    while offset < len(body):
        (size,) = LENGTH.unpack_from(body, offset)
        offset += LENGTH.size
        records.append(body[offset : offset + size])
        offset += size
    return records

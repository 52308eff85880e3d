"""The prediction log on disk: segment files of framed records, written before an answer leaves.

A frame is a batch: length and CRC-32 of its body (little-endian uint32 each), then the body: each record behind its
length. So a batch is there in full or not at all. It is one plain write: it outlives the process, not the machine. A
segment is written by one process alone, which holds a lock on it until it is complete; the kernel drops the lock of a
killed process, so a reader knows a torn tail from one that is still to come.
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


class SpoolError(Exception):
    """A batch could not be written in full."""


def frame(records: Sequence[bytes]) -> bytes:
    """A batch as it stands in a segment."""
    body = b"".join([LENGTH.pack(len(record)) + record for record in records])
    return HEADER.pack(len(body), zlib.crc32(body)) + body


def unframe(data: bytes) -> tuple[list[bytes], int]:
    """Records of the whole frames that ``data`` begins with, and where the first that is not whole begins."""
    records: list[bytes] = []
    at = 0
    while at + HEADER.size <= len(data):
        size, checksum = HEADER.unpack_from(data, at)
        body = data[at + HEADER.size : at + HEADER.size + size]
        if len(body) < size or zlib.crc32(body) != checksum:
            break
        records += _records(body)
        at += HEADER.size + size
    return records, at


def segments(folder: Path) -> list[int]:
    """Numbers of a spool's segments, oldest first."""
    return sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}"))


def segment_path(folder: Path, number: int) -> Path:
    """A segment's file."""
    return folder / f"{number:012d}{SUFFIX}"


class SpoolWriter:
    """Appends batches to a segment of its own; begins the next where one is full. For one thread, which closes it."""

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
            SpoolError: the disk did not take it; the part that it took is a torn tail: the next batch begins a segment.
        """
        data = frame(records)
        if self._torn or (self._written and self._written + len(data) > self._limit):
            self._roll()
        self._torn = True
        try:
            taken = os.write(self._file, data)
        except OSError as error:
            raise SpoolError(f"{self._folder}: {error.strerror}") from error
        if taken < len(data):
            raise SpoolError(f"{self._folder}: the disk took {taken} of {len(data)} bytes")
        self._torn = False
        self._written += taken

    def close(self) -> None:
        """Complete the segment."""
        os.close(self._file)

    def _roll(self) -> None:
        try:
            following = self._begin()
        except OSError as error:
            raise SpoolError(f"{self._folder}: {error.strerror}") from error
        os.close(self._file)
        self._file, self._written, self._torn = following, 0, False

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
    found = []
    at = 0
    while at < len(body):
        (size,) = LENGTH.unpack_from(body, at)
        at += LENGTH.size
        found.append(body[at : at + size])
        at += size
    return found

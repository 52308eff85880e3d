"""Reads and deletes the segments that routers write (see `services.serving.router.spool`)."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping, Sequence
from pathlib import Path

from driftloop.process import log
from services.serving import metrics
from services.serving.router.spool import HEADER, first_frame_bytes, segment_path, segments, unframe

_READ_BYTES = 16 << 20
CORRUPT = ".corrupt"
REFUSED = "refused"


class SpoolReader:
    """`services.serving.ports.SpoolSource` over a folder."""

    def __init__(self, folder: Path, loop: str, read_bytes: int = _READ_BYTES) -> None:
        """``read_bytes``: a read returns about this much at most, but always a whole frame."""
        self._folder = folder
        self._loop = loop
        self._read_bytes = read_bytes
        self._log = log.get(__name__)

    def read(self, positions: Mapping[int, int]) -> tuple[Sequence[bytes], dict[int, int]]:
        records: list[bytes] = []
        new_positions = {}
        left = self._read_bytes
        for number in segments(self._folder):
            start = positions.get(number, 0)
            data = self._bytes(number, start, left) if left > 0 else b""
            framed, length = unframe(data)
            records += framed
            left -= len(data)
            new_positions[number] = start + length
        return records, new_positions

    def drop_complete(self, positions: Mapping[int, int]) -> dict[int, int]:
        """Keep the newest segment, because the next segment's number follows from it."""
        kept = dict(positions)
        for number in segments(self._folder)[:-1]:
            if self._complete(number, positions.get(number, 0)):
                kept.pop(number, None)
        return kept

    def keep_refused(self, record: bytes, digest: str) -> Path:
        """Store a record that the broker refuses; repeating this is harmless."""
        path = self._folder / REFUSED / f"{digest}.record"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record)
        return path

    def is_written(self) -> bool:
        """Return whether a process may append to the spool."""
        return any(not self._released(number) for number in segments(self._folder))

    def _released(self, number: int) -> bool:
        with segment_path(self._folder, number).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def _complete(self, number: int, position: int) -> bool:
        """Delete a segment that its writer released and that has no whole frame left; return whether it was."""
        if not self._released(number):
            return False
        path = segment_path(self._folder, number)
        left = path.stat().st_size - position
        tail = self._bytes(number, position, HEADER.size)
        if unframe(tail)[1]:
            return False
        if left and left >= (frame_bytes := first_frame_bytes(tail)) > 0:
            path.rename(path.with_suffix(CORRUPT))
            metrics.CORRUPT.add(loop=self._loop)
            self._log.error("corrupt-segment", loop=self._loop, segment=number, position=position, frame=frame_bytes)
            return True
        if left:
            metrics.TORN.add(loop=self._loop)
            self._log.warning("torn-tail", loop=self._loop, segment=number, bytes=left)
        path.unlink()
        return True

    def _bytes(self, number: int, start: int, most: int) -> bytes:
        """Return up to ``most`` bytes from a position, or the whole frame there if that is longer."""
        with segment_path(self._folder, number).open("rb") as file:
            file.seek(start)
            data = file.read(most)
            missing = first_frame_bytes(data) - len(data)
            return data + file.read(missing) if missing > 0 else data

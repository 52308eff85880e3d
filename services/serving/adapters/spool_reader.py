"""Reads and deletes the segments that routers write (see `services.serving.router.spool`)."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping, Sequence
from pathlib import Path

from driftloop.process import log
from services.serving import metrics
from services.serving.router.spool import segment_path, segments, unframe

_CHUNK = 16 << 20


class SpoolReader:
    """`services.serving.ports.SpoolSource` over a folder."""

    def __init__(self, folder: Path, loop: str) -> None:
        self._folder = folder
        self._loop = loop
        self._log = log.get(__name__)

    def read(self, positions: Mapping[int, int]) -> tuple[Sequence[bytes], dict[int, int]]:
        """Return at most 16 MiB of each segment."""
        records: list[bytes] = []
        new_positions = {}
        for number in segments(self._folder):
            start = positions.get(number, 0)
            framed, length = unframe(self._bytes(number, start))
            records += framed
            new_positions[number] = start + length
        return records, new_positions

    def drop_complete(self, positions: Mapping[int, int]) -> dict[int, int]:
        """Keep the newest segment, because the next segment's number follows from it."""
        kept = dict(positions)
        for number in segments(self._folder)[:-1]:
            if self._complete(number, positions.get(number, 0)):
                segment_path(self._folder, number).unlink()
                kept.pop(number, None)
        return kept

    def _complete(self, number: int, position: int) -> bool:
        """Return whether the writer released a segment and it has no whole frame left."""
        with segment_path(self._folder, number).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            file.seek(position)
            tail = file.read(_CHUNK)
        if unframe(tail)[1]:
            return False
        if tail:
            metrics.TORN.add(loop=self._loop)
            self._log.warning("torn-tail", loop=self._loop, segment=number, bytes=len(tail))
        return True

    def _bytes(self, number: int, start: int) -> bytes:
        with segment_path(self._folder, number).open("rb") as file:
            file.seek(start)
            return file.read(_CHUNK)

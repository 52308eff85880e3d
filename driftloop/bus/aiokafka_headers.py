"""Lets aiokafka read records with a header name that is not UTF-8.

Kafka does not check header names. aiokafka 0.14 decodes them as UTF-8 while it unpacks a fetched batch. So one such
record would end every consumer of its partition at that offset, at every start again. aiokafka has no option for it.
`install` makes its fetcher use the library's own Python reader with a lenient buffer. The compiled reader is faster,
but lifecycle topics have few records. Faust reads through the same fetcher.
"""

from __future__ import annotations

from typing import Any, SupportsIndex, overload

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

_MAGIC_V2 = 2


class _LenientBuffer(bytearray):
    """A buffer whose parts decode with escapes for bytes that are not UTF-8. The reader decodes only header names."""

    @overload
    def __getitem__(self, at: SupportsIndex) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> _LenientBuffer: ...

    def __getitem__(self, at: Any) -> Any:
        part = super().__getitem__(at)
        return _LenientBuffer(part) if isinstance(at, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


class _LenientBatch(_DefaultRecordBatchPy):
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, _LenientBuffer):
            self._buffer = _LenientBuffer(self._buffer)


class _LenientRecords(_MemoryRecordsPy):
    def next_batch(self, *_: Any) -> Any:
        is_v2 = self._next_slice is not None and self._next_slice[self.MAGIC_OFFSET] >= _MAGIC_V2
        if not is_v2 or len(self._next_slice) < self.MIN_SLICE:
            return super().next_batch()
        content = self._next_slice
        self._cache_next()
        return _LenientBatch(content)


def install() -> None:
    """Make every consumer of aiokafka in this process read such records."""
    fetcher.MemoryRecords = _LenientRecords

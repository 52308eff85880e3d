"""Lets aiokafka read on after records that it cannot read.

aiokafka 0.14 ends a consumer at such a record, at every start again, and has no option for it. There are two kinds:

- A header name that is not UTF-8. Kafka does not check names, and aiokafka decodes them while it unpacks a batch. The
  record has only the header `NAME_NOT_UTF8` then, as with the client of the batch services. So what one service
  refuses, all refuse.
- A batch that cannot be decompressed: its bytes are damaged, its compression is unknown, or it has more than
  `DECOMPRESSED_BYTES` then. A record stands in for the batch (`driftloop.bus.unreadable`). Without the limit, a batch
  of a few kilobytes could fill the memory.

`install` makes its fetcher use the library's own Python reader with these two changes. The compiled reader is faster,
but lifecycle topics have few records. Faust reads through the same fetcher.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from typing import Any, SupportsIndex, overload

import cramjam
from aiokafka.codec import snappy_decode
from aiokafka.consumer import fetcher
from aiokafka.errors import UnsupportedCodecError
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy

from driftloop.bus.topic_plan import MAX_MESSAGE_BYTES
from driftloop.bus.unreadable import NAME_NOT_UTF8, unreadable_batch

DECOMPRESSED_BYTES = 2 * MAX_MESSAGE_BYTES
"""Limit of a decompressed batch. Topics with lifecycle events take messages of half of this."""

_MAGIC_V2 = 2
_FIRST_BYTES = 65_536
_RATIO = 8
"""Usual compression. A batch above it is decompressed a second time, into the largest buffer."""


class _LenientBuffer(bytearray):
    """A buffer whose parts decode to surrogates where they are not UTF-8. The reader decodes only header names."""

    @overload
    def __getitem__(self, at: SupportsIndex) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> _LenientBuffer: ...

    def __getitem__(self, at: Any) -> Any:
        part = super().__getitem__(at)
        return _LenientBuffer(part) if isinstance(at, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        return super().decode(encoding, errors)


class _LenientBatch(_DefaultRecordBatchPy):
    _buffer: bytearray
    _decompressed: bool
    _pos: int
    _next_record_index: int
    _stand_in: _DefaultRecordPy | None = None

    def _maybe_uncompress(self) -> None:
        if self._decompressed:
            return
        self._decompressed = True
        try:
            if self.compression_type == self.CODEC_NONE:
                self._buffer = _LenientBuffer(self._buffer)
            else:
                self._buffer = _LenientBuffer(_decompress(self.compression_type, bytes(self._buffer[self._pos :])))
                self._pos = 0
        except (UnsupportedCodecError, cramjam.DecompressionError, OSError, EOFError, zlib.error) as error:
            self._stand_in = self._record(str(error))

    def __next__(self) -> _DefaultRecordPy:
        if self._stand_in is None:
            record = super().__next__()
            if not all(_is_utf8(name) for name, _ in record.headers):
                record.headers[:] = [NAME_NOT_UTF8]
            return record
        if self._next_record_index:
            raise StopIteration
        self._next_record_index = 1
        return self._stand_in

    def _record(self, problem: str) -> _DefaultRecordPy:
        last = self.next_offset - 1
        header = unreadable_batch(self.base_offset, last, len(self._buffer), problem)
        return _DefaultRecordPy(last, self.max_timestamp, self.timestamp_type, None, None, [header])


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


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # it has a surrogate
        return False
    return True


def _decompress(codec: int, content: bytes) -> bytes | bytearray:
    """Return the decompressed bytes of a batch.

    Raises:
        UnsupportedCodecError: the codec has no name in Kafka's protocol.
        OSError, EOFError, zlib.error, cramjam.DecompressionError: the bytes are damaged, or too many.
    """
    if codec == _LenientBatch.CODEC_GZIP:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            decompressed = file.read(DECOMPRESSED_BYTES + 1)
        if len(decompressed) > DECOMPRESSED_BYTES:
            raise OSError(f"more than {DECOMPRESSED_BYTES} bytes once decompressed")
        return decompressed
    if codec == _LenientBatch.CODEC_SNAPPY:
        return bytes(snappy_decode(content))  # its ratio is at most 21
    into = _INTO.get(codec)
    if into is None:
        raise UnsupportedCodecError(f"unknown compression codec {codec}")
    try:
        return _into_buffer(into, content, _FIRST_BYTES + _RATIO * len(content))
    except cramjam.DecompressionError:
        return _into_buffer(into, content, DECOMPRESSED_BYTES)


def _into_buffer(into: Callable[[bytes, bytearray], int], content: bytes, size: int) -> bytearray:
    buffer = bytearray(min(size, DECOMPRESSED_BYTES))
    del buffer[into(content, buffer) :]
    return buffer


_INTO: dict[int, Callable[[bytes, bytearray], int]] = {
    _LenientBatch.CODEC_LZ4: cramjam.lz4.decompress_into,
    _LenientBatch.CODEC_ZSTD: cramjam.zstd.decompress_into,
}

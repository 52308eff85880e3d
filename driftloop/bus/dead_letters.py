"""Dead letters: the original record, and the reason it was refused."""

from __future__ import annotations

import hashlib
import traceback

from driftloop.bus.ports import Outgoing, Record
from driftloop.process import log
from driftloop.process.errors import InvalidEvent

SUFFIX = ".dlq"
PREFIX = "dlq-"
_DETAIL_LIMIT = 2_000
_STACK_LIMIT = 8_000
_LETTER_BYTES = 7_000_000
_EXCERPT_BYTES = 1_000_000
_log = log.get(__name__)


def dead_letter(
    record: Record, *, consumer: str, reason: str, detail: str = "", stack: str = "", source: str = "", sha256: str = ""
) -> Outgoing:
    """Return the dead letter of a record, for ``<topic>.dlq``: its key, value and headers, and the reason.

    The headers ``dlq-*`` hold the reason. ``dlq-source`` (topic/partition/offset) identifies the original, so that
    readers count a dead letter once if it was written twice. A record too large for the topic is cut, without its
    headers; the digest covers all of it, and ``dlq-original-bytes`` has its length.

    Headers ``dlq-*`` of the record itself are left out: a dead letter that was copied back would keep the reason and
    the source of its first refusal.

    ``source`` is for a record that was in no topic yet, and ``sha256`` for one whose ``record`` has only some of its
    bytes.
    """
    why = {
        "dlq-consumer": consumer,
        "dlq-reason": reason,
        "dlq-detail": detail[:_DETAIL_LIMIT],
        "dlq-stack": stack[-_STACK_LIMIT:],
        "dlq-sha256": sha256 or hashlib.sha256(record.value or b"").hexdigest(),
        "dlq-source": source or f"{record.topic}/{record.partition}/{record.offset}",
    }
    reasons = tuple((name, text.encode()) for name, text in why.items() if text)
    own = tuple(header for header in record.headers if not header[0].startswith(PREFIX))
    topic, value, key = f"{record.topic}{SUFFIX}", record.value or b"", record.key or b""
    size = len(value) + len(key) + sum(len(name) + len(content) for name, content in own)
    if size <= _LETTER_BYTES:
        return Outgoing(topic, record.value, record.key, (*own, *reasons))
    length = ("dlq-original-bytes", str(len(value)).encode())
    return Outgoing(topic, value[:_EXCERPT_BYTES], key[:_EXCERPT_BYTES], (*reasons, length))


def dead_letter_for_error(record: Record, error: InvalidEvent, consumer: str) -> Outgoing:
    """Log the error of a record, and return the record's dead letter."""
    _log.error("dead-letter", topic=record.topic, offset=record.offset, reason=error.reason, detail=error.detail)
    stack = "".join(traceback.format_exception(error))
    return dead_letter(record, consumer=consumer, reason=error.reason, detail=error.detail, stack=stack)

"""Decodes the content of a dead letter as far as possible."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from driftloop.contracts.topics import declared, message_class
from driftloop.loop import Loop
from driftloop.ops.dlq.dead_letter import DeadLetter

_EXCERPT = 400


def decode_content(letter: DeadLetter, messages: Mapping[str, type[Message]]) -> dict[str, Any] | str:
    """Return the message's fields or, if it cannot be decoded, its beginning as text or hexadecimal digits.

    ``messages``: class by raw topic, or by the full name in the header ``ce_type``.
    """
    value = letter.record.value or b""
    if value.lstrip()[:1] == b"{":
        parsed = _parse_json(value)
        if parsed is not None:
            return parsed
    kind = (letter.record.header("ce_type") or b"").decode(errors="replace")
    message = messages.get(kind) or messages.get(letter.topic)
    if message is not None:
        try:
            return json_format.MessageToDict(message.FromString(value), preserving_proto_field_name=True)
        except DecodeError:
            pass  # it may be refused because of its bytes; they are shown
    try:
        return value[:_EXCERPT].decode()
    except UnicodeDecodeError:
        return value[:_EXCERPT].hex(" ")


def message_classes(loops: Iterable[Loop]) -> dict[str, type[Message]]:
    """Return message classes by raw topic and, for lifecycle events, by full name."""
    names = {name for topic in declared().values() for name in topic.messages}
    return {name: message_class(name) for name in names} | {
        topic: message for loop in loops for topic, message in loop.messages.items()
    }


def _parse_json(value: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None

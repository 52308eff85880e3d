"""What a dead letter says, as far as it can be read."""

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


def content(letter: DeadLetter, messages: Mapping[str, type[Message]]) -> dict[str, Any] | str:
    """The message's fields, or where it cannot be read its beginning: as text, else as hexadecimal digits.

    ``messages``: class by raw topic, or by the full name that the header ``ce_type`` bears.
    """
    value = letter.record.value or b""
    if value.lstrip()[:1] == b"{":
        parsed = _json(value)
        if parsed is not None:
            return parsed
    kind = (letter.record.header("ce_type") or b"").decode()
    message = messages.get(kind) or messages.get(letter.topic)
    if message is not None:
        try:
            return json_format.MessageToDict(message.FromString(value), preserving_proto_field_name=True)
        except DecodeError:
            pass  # it was refused for a reason; its bytes are shown
    try:
        return value[:_EXCERPT].decode()
    except UnicodeDecodeError:
        return value[:_EXCERPT].hex(" ")


def messages_of(loops: Iterable[Loop]) -> dict[str, type[Message]]:
    """Message classes by raw topic and, of lifecycle events, by full name."""
    names = {name for topic in declared().values() for name in topic.messages}
    return {name: message_class(name) for name in names} | {
        topic: message for loop in loops for topic, message in loop.messages.items()
    }


def _json(value: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(value)
    except (ValueError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None

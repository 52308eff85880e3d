"""What the control service and its clients share: messages as JSON, and the trailer of a status."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

STATUS_TRAILER = "driftloop-status"
"""gRPC trailer of every error that the service itself sends, to tell it from an error of the connection."""


def as_dict(message: Message) -> dict[str, Any]:
    """Return a message as JSON data: field names as in the proto, times as RFC 3339, unset numbers included."""
    fields: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return fields

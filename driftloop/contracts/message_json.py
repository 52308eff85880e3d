"""Messages as JSON, for people and scripts: one shape on the command line and over HTTP."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message


def as_dict(message: Message) -> dict[str, Any]:
    """A message as JSON has it: its own names, times as RFC 3339, unset numbers there."""
    found: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return found

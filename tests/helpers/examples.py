"""Examples of records, in ``protos/examples/<topic>/``.

``good-*.json`` holds a record's key, headers and message (protobuf's JSON). ``poison-*.json`` holds either a message or
the bytes themselves (``value_base64``, null for none), and the ``reason`` with which every consumer must refuse it.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from driftloop.bus.ports import Record
from driftloop.contracts.topics import PROTOS, message_class, topic

FOLDER = PROTOS / "examples"


@dataclass(frozen=True)
class Example:
    """One file."""

    path: Path
    record: Record
    reason: str
    """Of the refusal; empty for a good one."""

    @property
    def name(self) -> str:
        """``<topic>/<file>``."""
        return f"{self.path.parent.name}/{self.path.stem}"


def examples(kind: str = "*") -> list[Example]:
    """Those of a kind (``good`` or ``poison``), or all, by topic."""
    return [read(path) for path in sorted(FOLDER.glob(f"*/{kind}-*.json"))]


def read(path: Path) -> Example:
    """Read one.

    Raises:
        ValueError: a key that no example has, or a field that the message does not have.
    """
    data: dict[str, Any] = json.loads(path.read_text())
    if unknown := data.keys() - {"key", "headers", "message", "value_base64", "reason"}:
        raise ValueError(f"{path}: unknown keys {sorted(unknown)}")
    headers = tuple((name, text.encode()) for name, text in data["headers"].items())
    record = Record(path.parent.name, 0, 0, data["key"].encode(), _value(path.parent.name, data), headers)
    return Example(path, record, data.get("reason", ""))


def _value(topic_name: str, data: dict[str, Any]) -> bytes | None:
    if "value_base64" in data:
        text = data["value_base64"]
        return None if text is None else base64.b64decode(text)
    declared = topic(topic_name).messages
    name = data["headers"]["ce_type"] if data["headers"]["ce_type"] in declared else declared[0]
    return json_format.ParseDict(data["message"], message_class(name)()).SerializeToString(deterministic=True)

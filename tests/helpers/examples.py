"""Example records in ``protos/examples/<topic>/``.

``good-*.json`` contains a record's key, headers and message (protobuf's JSON). ``poison-*.json`` contains a message or
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
    """An example file."""

    path: Path
    record: Record
    reason: str
    """Reason of the refusal; empty for a good example."""

    @property
    def name(self) -> str:
        """Name of the form ``<topic>/<file>``."""
        return f"{self.path.parent.name}/{self.path.stem}"


def examples(kind: str = "*") -> list[Example]:
    """Return the examples of a kind (``good``, ``poison``), or all, sorted by topic."""
    return [read(path) for path in sorted(FOLDER.glob(f"*/{kind}-*.json"))]


def read(path: Path) -> Example:
    """Read an example file.

    Raises:
        ValueError: the file has an unknown key, or the message does not have one of the fields.
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

"""What the router needs to know of its loop: ``loop.json``, which the agent renders beside the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

FORMAT = 1
DECISION_TIME = "decision_time_ms"

InputType = Literal["string", "int64", "double"]


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a join key's value comes from: an input, or a constant string."""

    input: str = ""
    const: str = ""


@dataclass(frozen=True)
class LoopConfig:
    """A loop as the router sees it."""

    loop: str
    key: str
    """Input that holds the prediction key."""
    clock: Literal["request", "now"]
    inputs: Mapping[str, InputType]
    """Inputs that a request carries beside key and decision time."""
    join_keys: Mapping[str, KeySource]
    max_feature_age_ms: int
    online_db: str
    """Path of the online store."""
    releases: str
    """Folder of staged releases."""
    routes: str
    """Folder of route and status files."""
    spool: str
    """Folder of this loop's prediction log."""
    classes: tuple[str, ...] = ()
    """Of the label, where it has any; then a row's score is one number a class."""

    def to_json(self) -> bytes:
        """The file's content."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, indent=1).encode()


def read_loop_config(path: Path) -> LoopConfig:
    """Read ``loop.json``.

    Raises:
        ValueError: it is not what this version writes.
    """
    data = json.loads(path.read_bytes())
    if (found := data.pop("format", 1)) != FORMAT:  # the first ones did not say it
        raise ValueError(f"{path} has format {found}; this version reads {FORMAT}")
    try:
        data["join_keys"] = {name: KeySource(**source) for name, source in data["join_keys"].items()}
        return LoopConfig(**{**data, "classes": tuple(data["classes"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error!r}") from error

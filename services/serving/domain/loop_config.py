"""The router's configuration of its loop: ``loop.json``, which the agent writes beside the model."""

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
    """Source of a join key's value: an input, or a constant string."""

    input: str = ""
    const: str = ""


@dataclass(frozen=True, slots=True)
class OnlineSource:
    """Where the online store is. Has no password, only the file that holds it."""

    db: str
    """Path of the SQLite file, read if there is no ``url``."""
    url: str = ""
    """Address of Redis."""
    password_file: str = ""
    ca_file: str = ""


@dataclass(frozen=True)
class LoopConfig:
    """A loop's configuration for the router."""

    loop: str
    key: str
    """The input with the prediction key."""
    clock: Literal["request", "now"]
    inputs: Mapping[str, InputType]
    """Inputs of a request beside key and decision time."""
    join_keys: Mapping[str, KeySource]
    max_feature_age_ms: int | None
    """None: the longest window of the model's features, at least a block, plus the lateness."""
    online_db: str
    """Path of the SQLite online store."""
    releases: str
    """Folder of staged releases."""
    routes: str
    """Folder of route and status files."""
    spool: str
    """Folder of this loop's prediction log."""
    probe_secret: str = ""
    """File with the secret that lets a request call itself a probe."""
    block_ms: int = 86_400_000
    lateness_ms: int = 0
    max_advance_ms: int = 172_800_000
    """How far a decision may be after both the clock and the newest features."""
    classes: tuple[str, ...] = ()
    """Classes of the label. With classes, a row's score is one number per class."""
    slices: tuple[str, ...] = ()
    """Inputs by which quality is sliced."""
    online_url: str = ""
    """Address of the online store if it is Redis."""
    online_password_file: str = ""
    """File with its password."""
    online_ca_file: str = ""
    """File with the authorities that sign its certificate."""

    @property
    def online(self) -> OnlineSource:
        return OnlineSource(self.online_db, self.online_url, self.online_password_file, self.online_ca_file)

    def to_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, indent=1).encode()


def read_loop_config(path: Path) -> LoopConfig:
    """Read ``loop.json``.

    Raises:
        ValueError: the file is invalid or its format is unknown.
    """
    data = json.loads(path.read_bytes())
    if (version := data.pop("format", 1)) != FORMAT:  # the first files had no format field
        raise ValueError(f"{path} has format {version}; this version reads {FORMAT}")
    try:
        data["join_keys"] = {name: KeySource(**source) for name, source in data["join_keys"].items()}
        return LoopConfig(**{**data, "classes": tuple(data["classes"]), "slices": tuple(data.get("slices", ()))})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error!r}") from error

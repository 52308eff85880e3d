"""The manifest of a backup: written last, so that an interrupted copy has none."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from driftloop.process.errors import ConfigError

FORMAT = 1
NAME = "manifest.json"
_DIGEST = "digest"


class FileEntry(BaseModel):
    """A file of the backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    size: int = Field(ge=0)
    """Bytes."""
    mtime_ns: int = Field(ge=0, le=2**62)
    mode: int
    """Permission bits of the copied file. A restored one is for its owner only."""


class LoopEntry(BaseModel):
    """A loop at the time of the backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    watermark_ms: int | None
    """Event time up to which online features were complete; None before the first."""
    champion: str
    """The release that answered; empty if none."""
    epoch: int
    """Epoch of the route; 0 if there was none."""


class Manifest(BaseModel):
    """Everything except the files' content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    driftloop: str
    """Version that wrote it."""
    taken_wall_ms: int
    """Time of the copy, UTC milliseconds."""
    homes: tuple[str, ...]
    """Paths by which events of this home may refer to its files."""
    revisions: Mapping[str, tuple[str, ...]]
    """Newest schema revisions by database file."""
    loops: Mapping[str, LoopEntry]
    files: Mapping[str, FileEntry] = Field(default_factory=dict)
    """By name, relative to the home."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())

    def to_json(self) -> bytes:
        """Return the file's content: format, digest of all other fields, and the fields."""
        fields = {"format": FORMAT, **self.model_dump(mode="json")}
        return json.dumps({_DIGEST: _digest(fields), **fields}, indent=1).encode()


def parse_manifest(content: bytes, source: str) -> Manifest:
    """Read a manifest.

    Raises:
        ConfigError: it is damaged, or its format is newer.
    """
    try:
        fields: dict[str, Any] = json.loads(content)
        format_, digest = fields.pop("format"), fields.pop(_DIGEST)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"{source}: {NAME} is damaged; take another backup") from error
    if isinstance(format_, int) and format_ > FORMAT:
        raise ConfigError(
            f"{source} has format {format_}, and this driftloop reads {FORMAT}: restore it with a newer driftloop"
        )
    try:
        manifest = Manifest.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"{source}: {NAME} is damaged; take another backup") from error
    if digest != _digest({"format": format_, **fields}) or not all(map(_is_inside, manifest.files)):
        raise ConfigError(f"{source}: {NAME} is damaged; take another backup")
    return manifest


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _is_inside(name: str) -> bool:
    """Return whether the name is a path inside a home."""
    path = PurePosixPath(name)
    return name.isprintable() and str(path) == name and not {"/", "..", "."} & set(path.parts) and "\\" not in name


def version_number(version: str) -> tuple[int, ...]:
    """Return a driftloop version as numbers that can be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])

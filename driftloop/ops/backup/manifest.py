"""What a backup says about itself: written last, so that a copy that was cut short has none."""

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
    size: int
    """Bytes."""
    mtime_ns: int
    mode: int
    """Permission bits."""


class LoopEntry(BaseModel):
    """A loop at the moment of the backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    watermark_ms: int | None
    """Event time up to which online features were right; None before there were any."""
    champion: str
    """The release that answered; empty where none did."""
    epoch: int
    """Of the route by which it did; 0 where there was none."""


class Manifest(BaseModel):
    """Everything but the files' content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    driftloop: str
    """Version that made it."""
    taken_wall_ms: int
    """When the copy's moment was, UTC."""
    homes: tuple[str, ...]
    """Paths by which events of this home may name its files."""
    revisions: Mapping[str, tuple[str, ...]]
    """Newest revisions of each database's schema, by file."""
    loops: Mapping[str, LoopEntry]
    files: Mapping[str, FileEntry] = Field(default_factory=dict)
    """By name, relative to the home."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(each.size for each in self.files.values())

    def to_json(self) -> bytes:
        """The file: with its format, and the sha256 of all else that it says."""
        said = {"format": FORMAT, **self.model_dump(mode="json")}
        return json.dumps({_DIGEST: _digest(said), **said}, indent=1).encode()


def parse(content: bytes, where: str) -> Manifest:
    """Read a manifest.

    Raises:
        ConfigError: it is damaged, or of a newer format.
    """
    try:
        said: dict[str, Any] = json.loads(content)
        found, digest = said.pop("format"), said.pop(_DIGEST)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"{where}: {NAME} is damaged; take another backup") from error
    if isinstance(found, int) and found > FORMAT:
        raise ConfigError(f"{where} has format {found}, and this driftloop reads {FORMAT}: restore it with a newer one")
    try:
        manifest = Manifest.model_validate(said)
    except ValidationError as error:
        raise ConfigError(f"{where}: {NAME} is damaged; take another backup") from error
    if digest != _digest({"format": found, **said}) or not all(map(_is_inside, manifest.files)):
        raise ConfigError(f"{where}: {NAME} is damaged; take another backup")
    return manifest


def _digest(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _is_inside(name: str) -> bool:
    """Whether a name can be no file outside of a home."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and not re.search(r"[\0\\]", name)


def as_number(version: str) -> tuple[int, ...]:
    """A version of ours, to be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])

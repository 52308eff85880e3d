"""A home that a restore has begun to fill and not finished."""

from __future__ import annotations

from pathlib import Path

from driftloop.process.errors import ConfigError

WHOLE = "restore.whole"
"""Folder of a home where verified files stand until each is in its place."""


def refuse_half_restored(home: Path) -> None:
    """A restore that was killed while it moved files leaves a home that is part old, part new.

    Raises:
        ConfigError: this is one.
    """
    if (home / WHOLE).exists():
        raise ConfigError(f"a restore of {home} was cut short; run it again with --force")

"""Detects a home that a restore has filled only in part."""

from __future__ import annotations

from pathlib import Path

from driftloop.process.errors import ConfigError

VERIFIED = "restore.whole"
"""Folder of a home for verified files until each is in its place."""


def refuse_incomplete_restore(home: Path) -> None:
    """Refuse a home if a restore was killed while it moved files: the home is then partly old, partly new.

    Raises:
        ConfigError: the home is incomplete.
    """
    if (home / VERIFIED).exists():
        raise ConfigError(f"a restore of {home} was interrupted; run it again with --force")

"""Secrets of a home: each is generated at its first use, and kept in a file that only its owner can read."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from driftloop.process.errors import ConfigError

_BYTES = 32


def secret_file(home: Path, name: str) -> Path:
    """Return the file of a secret."""
    return home / "secrets" / name


def read_secret(home: Path, name: str) -> str:
    """Return a secret; generate it if it does not exist. Processes may do so at once: all get the same.

    Raises:
        ConfigError: other accounts can read the file.
    """
    path = secret_file(home, name)
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"other accounts can read {path}: remove it, and the next start generates another secret")
    return path.read_text()


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent)  # readable by its owner only
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first
            os.link(unfinished, path)
    finally:
        Path(unfinished).unlink()

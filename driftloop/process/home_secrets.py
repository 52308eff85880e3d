"""Secrets of one home: random, in a file that only its owner may read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from driftloop.process.errors import ConfigError

_MODE = 0o600
_OTHERS = 0o077
_BYTES = 32


def read_secret(path: Path) -> str:
    """Return the secret in a file, and create it first if there is none. Processes may do this at once.

    Raises:
        ConfigError: other accounts can read the file.
        OSError: the file cannot be read or written.
    """
    try:
        return _read_private(path)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    try:
        os.write(file, secrets.token_hex(_BYTES).encode())
    finally:
        os.close(file)
    try:
        os.link(partial, path)  # fails if another process was first; its secret counts
    except FileExistsError:
        pass
    finally:
        partial.unlink()
    return _read_private(path)


def _read_private(path: Path) -> str:
    with path.open() as file:
        if os.fstat(file.fileno()).st_mode & _OTHERS:
            raise ConfigError(f"other accounts can read {path}: remove it, and the next start creates another secret")
        return file.read()

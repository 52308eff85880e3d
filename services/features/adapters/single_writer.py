"""Ensures one writer of the stores on this machine: the service or a backfill."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from driftloop.process.errors import ConfigError


def claim(path: Path) -> IO[str]:
    """Lock a file until it is closed or the process ends.

    Raises:
        ConfigError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigError(f"another process writes the feature stores (it holds {path}); stop it first") from None
    return file

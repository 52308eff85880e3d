"""Keeps the files of a process from other accounts of the machine."""

from __future__ import annotations

import os
from pathlib import Path

_UMASK = 0o077
_OTHERS = 0o077


def keep_files_private() -> None:
    """Let only this account read what this process and its children create from now on."""
    os.umask(_UMASK)


def make_home_private(home: Path) -> None:
    """Create a home that only its owner can enter, or close an existing one, which an earlier version left open."""
    home.mkdir(parents=True, exist_ok=True)
    status = home.stat()
    if status.st_mode & _OTHERS and status.st_uid == os.geteuid():
        home.chmod(status.st_mode & 0o7700)

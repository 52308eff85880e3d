"""The supervisor's Unix socket, in a folder that only its owner can enter. Whoever reaches it can run any command."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from driftloop.process.errors import ConfigError

_NAME = "control.sock"


def socket_folder(home: Path | str) -> Path:
    """Return the folder of a home's socket."""
    return Path(home) / "run" / "supervisor"


def make_private(folder: Path) -> None:
    """Create a folder that only its owner can enter, or make an existing one so.

    Raises:
        ConfigError: it is a link, or belongs to another user.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise ConfigError(f"{folder} is a link or belongs to another user; remove it, or set another DRIFTLOOP_HOME")
    folder.chmod(0o700)


@contextmanager
def socket_address(folder: Path) -> Iterator[str]:
    """Yield ZeroMQ's address of the socket in a folder, valid in this process until the block ends.

    It goes through a descriptor of the folder, because the path of a Unix socket has at most 107 bytes.

    Raises:
        OSError: the folder does not exist.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield f"ipc:///proc/self/fd/{descriptor}/{_NAME}"
    finally:
        os.close(descriptor)

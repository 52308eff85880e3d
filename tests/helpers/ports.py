"""Ports for servers that a test starts."""

from __future__ import annotations

import itertools
import os
import socket

_FIRST, _SHARE, _SHARES = 10_000, 100, 200
"""Ports 10,000 to 29,999, below those that a machine gives to outgoing connections; a share to each process."""
_numbers = itertools.count()


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on now, all different.

    Between this and the server's start no connection can take them, nor tests in a process beside this one.

    Raises:
        RuntimeError: all of this process's ports are taken.
    """
    first = _FIRST + os.getpid() % _SHARES * _SHARE
    found = []
    for number in itertools.islice(_numbers, _SHARE):
        port = first + number % _SHARE
        if _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"{len(found)} of {count} ports from {first} on are free")


def _is_free(port: int) -> bool:
    with socket.socket() as asking:
        try:
            asking.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

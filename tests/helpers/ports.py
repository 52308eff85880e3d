"""Ports for servers that a test starts."""

from __future__ import annotations

import itertools
import os
import socket

from driftloop.process import tcp_ports

_FIRST, _SHARE, _SHARES = 10_000, 100, 100
"""Ports 10,000 to 19,999; a share to each process. Above them, to where a machine takes ports for outgoing connections,
stand the bases of whole systems."""
_STRIDE = 37
"""Between the bases that a process asks for, so that processes of successive ids seldom try the same."""
_numbers = itertools.count()
_bases = itertools.count(os.getpid(), _STRIDE)


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


def free_port_base() -> int:
    """A base for the ports of a whole system, on none of which anything listens now; another one at each call.

    Raises:
        RuntimeError: there is none.
    """
    found = tcp_ports.free_base(_is_free, next(_bases) % _SHARES)
    if found is None:
        raise RuntimeError("no base has all its ports free")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as asking:
        try:
            asking.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

"""Ports for servers that a test starts."""

from __future__ import annotations

import itertools
import os
import socket

from driftloop.process import tcp_ports

_FIRST, _SHARE, _SHARES = 10_000, 100, 100
"""Ports 10,000 to 19,999, a share for each process. The bases of whole systems are above them, below the ephemeral
ports.
"""
_STRIDE = 37
"""Distance between the bases that a process tries, so that processes with successive ids rarely try the same one."""
_numbers = itertools.count()
_bases = itertools.count(os.getpid(), _STRIDE)


def free_ports(count: int) -> list[int]:
    """Return different ports of 127.0.0.1 that nothing listens on now.

    Until the server starts, neither connections nor tests in other processes use these ports.

    Raises:
        RuntimeError: all ports of this process are taken.
    """
    first = _FIRST + os.getpid() % _SHARES * _SHARE
    ports = []
    for number in itertools.islice(_numbers, _SHARE):
        port = first + number % _SHARE
        if _is_free(port):
            ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError(f"only {len(ports)} of {count} ports from {first} on are free")


def free_port_base() -> int:
    """Return a port base for a whole system whose ports are all free; another one at each call.

    Raises:
        RuntimeError: no base has all its ports free.
    """
    base = tcp_ports.free_base(_is_free, next(_bases) % _SHARES)
    if base is None:
        raise RuntimeError("no base has all its ports free")
    return base


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

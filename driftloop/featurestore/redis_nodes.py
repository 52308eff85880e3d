"""Connections to the masters of a Redis or a Redis Cluster: one round trip per node for a batch of commands.

It sends all commands of a node at once on one connection and never repeats one on another node. So a caller knows which
process executed its commands, in which order. Clients of redis-py follow a moved key without telling.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

from redis.connection import Connection, SSLConnection
from redis.crc import key_slot
from redis.exceptions import RedisError, ResponseError

from driftloop.featurestore.online_address import OnlineAddress
from driftloop.process.errors import Retriable

SLOTS = 16_384
_CHUNK = 1_000

Command = tuple[Any, ...]


class OnlineStoreUnavailable(Retriable):
    """Redis did not execute all commands; the next attempt reads the cluster's layout again."""


@dataclass(frozen=True, slots=True)
class Master:
    """A node that owns keys."""

    number: int
    """Index in `RedisNodes.masters`."""
    host: str
    port: int
    slots: bytes
    """Ranges of slots that the node owns, such as ``0-5460``; empty without a cluster."""
    tag: bytes
    """Hash tag: the node owns every key that contains ``{<tag>}``."""

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


class RedisNodes:
    """One connection per master, opened on first use. Use it from one thread.

    ``scripts``: Lua scripts that every connection loads. EVALSHA calls one.
    """

    def __init__(self, address: OnlineAddress, scripts: Sequence[str] = (), timeout_s: float = 2.0) -> None:
        self._address = address
        self._scripts = scripts
        self._timeout_s = timeout_s
        self._connections: dict[str, Any] = {}
        self._masters: tuple[Master, ...] = ()
        self._must_refresh = True
        self._owners: list[int] = []

    @property
    def masters(self) -> tuple[Master, ...]:
        """The masters as last read, in the order of their slots.

        Raises:
            OnlineStoreUnavailable: no node answers, or some slots have no master.
        """
        if self._must_refresh:
            self.refresh()
        return self._masters

    def refresh(self) -> None:
        """Read the cluster's layout again.

        Raises:
            OnlineStoreUnavailable: no node answers, or some slots have no master.
        """
        if not self._address.is_cluster:
            [(host, port)] = self._address.hosts
            self._masters, self._owners = (Master(0, host, port, b"", b"0"),), []
            self._must_refresh = False
            return
        self._masters, self._owners = _layout(self._cluster_slots())
        self._must_refresh = False
        names = {master.name for master in self._masters}
        for name in [name for name in self._connections if name not in names]:
            self._disconnect(name)

    def owner(self, key: bytes) -> int:
        """Return the number of the master that owns a key."""
        if not self._owners:
            return 0
        slot = key_slot(key) if b"{" in key else crc_hqx(key, 0) % SLOTS
        return self._owners[slot]

    def run(self, commands: Mapping[Master, Sequence[Command]]) -> dict[Master, list[Any]]:
        """Execute commands on their nodes, in order; return the replies.

        Raises:
            OnlineStoreUnavailable: a node is not reachable or refused a command. Some commands may have been executed.
        """
        replies: dict[Master, list[Any]] = {master: [] for master in commands}
        longest = max(map(len, commands.values()), default=0)
        for start in range(0, longest, _CHUNK):
            part = {master: each[start : start + _CHUNK] for master, each in commands.items() if len(each) > start}
            self._run_chunk(part, replies)
        return replies

    def close(self) -> None:
        for name in list(self._connections):
            self._disconnect(name)
        self._must_refresh = True

    def _run_chunk(self, commands: Mapping[Master, Sequence[Command]], replies: dict[Master, list[Any]]) -> None:
        sent: list[Master] = []
        try:
            for master, batch in commands.items():
                sent.append(master)
                connection = self._connection(master.host, master.port)
                connection.send_packed_command(connection.pack_commands(batch))
            for master, batch in commands.items():
                read = self._connections[master.name].read_response
                replies[master] += [read() for _ in batch]
                sent.remove(master)
        except (RedisError, OSError) as error:
            for master in sent:  # their connections may hold replies that nobody reads
                self._disconnect(master.name)
            self._must_refresh = True
            raise unavailable(sent[0].name, error) from error

    def _cluster_slots(self) -> list[Any]:
        problem = OnlineStoreUnavailable("online store: no address of Redis")
        known = [(master.host, master.port) for master in self._masters]
        for host, port in dict.fromkeys([*known, *self._address.hosts]):
            try:
                connection = self._connection(host, port)
                connection.send_command("CLUSTER", "SLOTS")
                ranges: list[Any] = connection.read_response()
            except (RedisError, OSError) as error:
                self._disconnect(f"{host}:{port}")
                problem = unavailable(f"{host}:{port}", error)
            else:
                return [(first, last, _node_address(node, host)) for first, last, node, *_ in ranges]
        raise problem

    def _connection(self, host: str, port: int) -> Any:
        name = f"{host}:{port}"
        if name not in self._connections:
            self._connections[name] = self._opened(host, port)
        return self._connections[name]

    def _opened(self, host: str, port: int) -> Any:
        address = self._address
        options: dict[str, Any] = {
            "db": address.db, "socket_timeout": self._timeout_s, "socket_connect_timeout": self._timeout_s,
            "socket_keepalive": True, "client_name": "driftloop",
        }  # fmt: skip
        if password := address.password():
            options |= {"password": password, "username": address.user or None}
        if address.uses_tls:
            options |= {"ssl_ca_certs": address.ca_file or None, "ssl_check_hostname": True}
        connection: Any = (SSLConnection if address.uses_tls else Connection)(host, port, **options)
        try:
            connection.connect()
            for script in self._scripts:
                connection.send_command("SCRIPT", "LOAD", script)
                connection.read_response()
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def _disconnect(self, name: str) -> None:
        connection = self._connections.pop(name, None)
        if connection is not None:
            connection.disconnect()


def unavailable(node: str, error: Exception) -> OnlineStoreUnavailable:
    """Return the error for a node that did not execute a command."""
    advice = "" if isinstance(error, ResponseError) else "; check DRIFTLOOP_ONLINE_URL and whether Redis runs"
    return OnlineStoreUnavailable(f"online store: Redis at {node}: {type(error).__name__}: {error}{advice}")


def _node_address(node: Sequence[Any], asked: str) -> tuple[str, int]:
    """Return host and port of a node in the reply of CLUSTER SLOTS; an empty host means the one that was asked."""
    host = node[0].decode() if node[0] else ""
    return (asked if host in ("", "?") else host), int(node[1])


def _layout(ranges: Sequence[tuple[int, int, tuple[str, int]]]) -> tuple[tuple[Master, ...], list[int]]:
    of_node: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for first, last, node in sorted(ranges):
        of_node.setdefault(node, []).append((first, last))
    owners = [-1] * SLOTS
    masters = []
    for number, ((host, port), slots) in enumerate(of_node.items()):
        text = ",".join(f"{first}-{last}" for first, last in slots).encode()
        masters.append(Master(number, host, port, text, _tag(slots[0][0])))
        for first, last in slots:
            owners[first : last + 1] = [number] * (last + 1 - first)
    if -1 in owners:
        problem = f"{owners.count(-1)} slots of the Redis Cluster have no master"
        raise OnlineStoreUnavailable(f"online store: {problem}; check `redis-cli --cluster check`")
    return tuple(masters), owners


@lru_cache(maxsize=1_024)
def _tag(slot: int) -> bytes:
    return next(tag for n in count() if crc_hqx(tag := b"%d" % n, 0) % SLOTS == slot)

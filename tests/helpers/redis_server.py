"""Real Redis servers for tests: one alone, or a Redis Cluster of three masters and three replicas."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

from tests.helpers.eventually import assert_eventually
from tests.helpers.ports import free_ports

MASTERS = 3
_OPTIONS = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no")
_CLUSTER = (
    "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0",
    "--repl-diskless-sync-delay", "0",
)  # fmt: skip


def installed() -> bool:
    """Return whether the programs of Redis are on the path."""
    return shutil.which("redis-server") is not None and shutil.which("redis-cli") is not None


@dataclass
class Server:
    """A redis-server on a port of this machine."""

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["redis-server", "--port", str(self.port), "--dir", str(self.folder), *_OPTIONS, *self.options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        assert_eventually(self.answers, say=f"Redis on port {self.port} ({self.folder / 'log'})")

    def answers(self) -> bool:
        from redis.exceptions import RedisError

        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError as error:
            return "NOAUTH" in str(error) or "Authentication" in str(error)

    def client(self, **options: Any) -> Any:
        return Redis("127.0.0.1", self.port, socket_timeout=5, **options)

    def kill(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@dataclass
class Cluster:
    """A Redis Cluster."""

    servers: list[Server]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def create(self) -> None:
        addresses = [f"127.0.0.1:{server.port}" for server in self.servers]
        command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert_eventually(lambda: all(self._is_complete(server) for server in self.servers), say="the cluster")

    def master_of(self, key: bytes) -> Server:
        """Return the server that owns a key."""
        with self.servers[0].client() as client:
            return self._owner(client, int(client.execute_command("CLUSTER", "KEYSLOT", key)))

    def await_replica(self, master: Server) -> None:
        """Return when the replica of a master has everything that was written before. `WAIT` covers own writes only."""
        with master.client() as client:
            written = client.info("replication")["master_repl_offset"]
            assert_eventually(lambda: client.info("replication")["slave0"]["offset"] >= written, say="the replica")

    def cut_replica(self, master: Server) -> None:
        """Prevent that a master sends anything to its replica from now on. Clients notice nothing."""
        self.await_replica(master)
        with master.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-psync", "-sync")
            client.execute_command("CLIENT", "KILL", "TYPE", "REPLICA")
            assert_eventually(lambda: client.info("replication")["connected_slaves"] == 0)

    def fail_over(self, master: Server) -> None:
        """Kill a master; return when its replica is the master."""
        others = [server for server in self.servers if server is not master]
        master.kill()

        def replaced() -> bool:
            for server in others:
                with server.client() as client:
                    layout = client.execute_command("CLUSTER", "SLOTS")
                    is_ok = b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO")
                if not is_ok or any(port == master.port for _, _, port in _masters(layout)):
                    return False
            return True

        assert_eventually(replaced, say="the replica as master")

    def _owner(self, client: Any, slot: int) -> Server:
        layout = _masters(client.execute_command("CLUSTER", "SLOTS"))
        [port] = [port for first, last, port in layout if first <= slot <= last]
        return next(server for server in self.servers if server.port == port)

    def _is_complete(self, server: Server) -> bool:
        with server.client() as client:
            layout = _masters(client.execute_command("CLUSTER", "SLOTS"))
            replication = client.info("replication")
            linked = replication["role"] == "master" and replication["connected_slaves"] == 1
            linked |= replication.get("master_link_status") == "up"
        return len(layout) == MASTERS and linked


def _masters(layout: Any) -> list[tuple[int, int, int]]:
    """Return first slot, last slot and the master's port of each range."""
    if isinstance(layout, dict):
        return [(first, last, int(nodes["primary"][1])) for (first, last), nodes in layout.items()]
    return [(first, last, int(node[1])) for first, last, node, *_ in layout]


@contextmanager
def server(folder: Path, *options: str) -> Iterator[Server]:
    """Run one server."""
    [port] = free_ports(1)
    alone = Server(folder, port, options)
    try:
        alone.start()
        yield alone
    finally:
        alone.kill()


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Run a Redis Cluster."""
    ports = free_ports(4 * MASTERS)
    pairs = zip(ports[::2], ports[1::2], strict=True)
    servers = [Server(folder / str(port), port, (*_CLUSTER, "--cluster-port", str(bus))) for port, bus in pairs]
    with ExitStack() as stack:
        for each in servers:
            stack.callback(each.kill)
            each.start()
        created = Cluster(servers)
        created.create()
        yield created

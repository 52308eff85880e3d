"""A real PostgreSQL for a test session, on its own socket. A schema takes the place of each SQLite file."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text

_DEBIAN = Path("/usr/lib/postgresql")
_SQLITE = "sqlite:///"
_START_S = 300
_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", "max_connections=300")


def installed() -> Path | None:
    """Return the folder of the newest installed PostgreSQL's programs, or None."""
    programs = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return programs[-1].parent if programs else None


class Cluster:
    """A running PostgreSQL."""

    def __init__(self, sockets: Path, control: list[str]) -> None:
        self._sockets = sockets
        self._control = control
        self._engines: list[Engine] = []
        self._schema_lock = threading.Lock()

    def url(self, schema: str = "public") -> str:
        """Return the address of a schema; `schema` creates it."""
        return f"postgresql+psycopg://postgres@/postgres?host={self._sockets}&options=-csearch_path%3D{schema}"

    def schema(self, name: str) -> str:
        """Create a schema if it does not exist. Return its address."""
        engine = create_engine(self.url())
        with self._schema_lock, engine.begin() as connection:
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{name}"'))
        engine.dispose()
        return self.url(name)

    def in_place_of_sqlite(self, url: str, **more: Any) -> Engine:
        """Replacement of `sqlalchemy.create_engine` that opens a schema instead of an SQLite file."""
        if not url.startswith(_SQLITE):
            return create_engine(url, **more)
        path = Path(url.removeprefix(_SQLITE)).resolve()
        name = f"s_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
        engine = create_engine(self.schema(name))
        self._engines.append(engine)
        return engine

    def restart(self) -> None:
        """Break all connections and start again."""
        _run([*self._control, "--mode", "immediate", "--log", str(self._sockets / "log"), "restart"], self._sockets)

    def forget(self) -> None:
        """Close all connections of the engines that were created."""
        while self._engines:
            self._engines.pop().dispose()


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """Create a cluster in a temporary folder, run it as a user other than root, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    as_owner = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if as_owner:
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"
    control = [*as_owner, str(programs / "pg_ctl"), "--pgdata", str(data), "--wait", "--timeout", str(_START_S)]
    try:
        initdb = [str(programs / "initdb"), "--pgdata", str(data), "--username", "postgres", "--auth", "trust"]
        _run([*as_owner, *initdb, "--no-sync", "--no-locale", "--encoding", "UTF8"], folder)
        with (data / "postgresql.conf").open("a") as file:
            settings = (*_SETTINGS, f"unix_socket_directories={folder}")
            file.writelines(f"{name} = '{value}'\n" for name, value in (setting.split("=", 1) for setting in settings))
        try:
            _run([*control, "--log", str(folder / "log"), "start"], folder)
            yield Cluster(folder, control)
        finally:  # also if the start timed out: it may still be running
            _run([*control, "--mode", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder)


def _run(command: list[str], folder: Path) -> None:
    completed = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, check=False, timeout=2 * _START_S,
    )  # fmt: skip
    assert completed.returncode == 0, f"{command}: {completed.stderr}"

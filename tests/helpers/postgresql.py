"""A real PostgreSQL for a test session, on a socket of its own; what code opens as an SQLite file is a schema in it."""

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
    """Folder of the newest PostgreSQL's programs; None if there is none."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class Cluster:
    """One that runs."""

    def __init__(self, sockets: Path) -> None:
        self._sockets = sockets
        self._made: list[Engine] = []
        self._one_at_a_time = threading.Lock()

    def url(self, schema: str = "public") -> str:
        """Address of a schema, which `schema` makes."""
        return f"postgresql+psycopg://postgres@/postgres?host={self._sockets}&options=-csearch_path%3D{schema}"

    def schema(self, name: str) -> str:
        """Make a schema where it is missing; returns its address."""
        engine = create_engine(self.url())
        with self._one_at_a_time, engine.begin() as connection:
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{name}"'))
        engine.dispose()
        return self.url(name)

    def in_place_of_sqlite(self, url: str, **more: Any) -> Engine:
        """`sqlalchemy.create_engine`, but a file of SQLite is a schema here."""
        if not url.startswith(_SQLITE):
            return create_engine(url, **more)
        path = Path(url.removeprefix(_SQLITE)).resolve()
        name = f"s_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
        engine = create_engine(self.schema(name))
        self._made.append(engine)
        return engine

    def forget(self) -> None:
        """Close every connection of the engines that were made."""
        while self._made:
            self._made.pop().dispose()


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """Make one in a temporary folder, run it as a user that is not root, and remove it."""
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
            file.writelines(f"{name} = '{value}'\n" for name, value in (each.split("=", 1) for each in settings))
        try:
            _run([*control, "--log", str(folder / "log"), "start"], folder)
            yield Cluster(folder)
        finally:  # one that was not up in time may be on its way
            _run([*control, "--mode", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder)


def _run(command: list[str], folder: Path) -> None:
    ended = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, check=False, timeout=2 * _START_S,
    )  # fmt: skip
    assert ended.returncode == 0, f"{command}: {ended.stderr}"

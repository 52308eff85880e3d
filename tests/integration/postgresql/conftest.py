"""Here the services' own suites run against PostgreSQL: what they open as a file of SQLite is a schema of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from driftloop.runner import tables
from tests.helpers.postgresql import Cluster, cluster, installed


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """One for all tests of a process."""
    programs = installed()
    if programs is None:
        pytest.skip("PostgreSQL is not installed; `make setup POSTGRES=1` installs it")
    with cluster(programs) as found:
        yield found


@pytest.fixture(autouse=True)
def _on_postgresql(postgresql: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tables, "create_engine", postgresql.in_place_of_sqlite)
    yield
    postgresql.forget()

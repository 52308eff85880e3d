from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert

from driftloop.process.clock import SystemClock
from driftloop.process.errors import ConfigError, LeaseLost
from driftloop.process.settings import Settings
from driftloop.runner.alone import OneInstance, alone, instance_name, locked
from driftloop.runner.lease import Lease
from driftloop.runner.tables import open_database
from tests.helpers.eventually import assert_eventually

NAME = "service"
LEASE_S = 6.0
metadata = MetaData()
rows = Table("rows", metadata, Column("number", Integer, primary_key=True))


@dataclass
class Worker:
    """A service that works until it is stopped."""

    engine: Engine
    stop: threading.Event
    working: threading.Event = field(default_factory=threading.Event)

    def ready(self) -> bool:
        return self.working.is_set()

    def run(self) -> None:
        self.working.set()
        self.stop.wait()
        self.engine.dispose()


class Process:
    """An instance of the service on a thread."""

    def __init__(self, home: Path, instance: str = "") -> None:
        self.settings = Settings(
            home=home, instance=instance, lease_s=LEASE_S, state_url=f"sqlite:///{home.parent}/{{service}}.db"
        )
        self.stop = threading.Event()
        self.leases: list[Lease] = []
        self.error: BaseException | None = None
        self.service: OneInstance = alone(NAME, self._build)(self.settings, self.stop)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _build(self, settings: Settings, stop: threading.Event, lease: Lease) -> Worker:
        self.leases.append(lease)
        return Worker(open_database(settings.database_url(NAME), metadata, fence=lease.check), stop)

    def _run(self) -> None:
        try:
            self.service.run()
        except LeaseLost as error:
            self.error = error

    def end(self) -> None:
        self.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def has_ended(self) -> bool:
        return not self._thread.is_alive()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in started:
        process.end()


def _start(processes: list[Process], home: Path, instance: str = "") -> Process:
    home.mkdir(exist_ok=True)
    processes.append(Process(home, instance))
    return processes[-1]


def test_one_of_two_instances_works_and_the_other_waits(processes: list[Process], tmp_path: Path) -> None:
    first = _start(processes, tmp_path / "a")
    second = _start(processes, tmp_path / "b")
    assert (first.service.role(), second.service.role()) == ("leader", "standby")
    assert_eventually(first.service.ready)
    assert second.service.ready()
    assert second.leases == []


def test_a_standby_works_when_the_leader_ends(processes: list[Process], tmp_path: Path) -> None:
    first = _start(processes, tmp_path / "a")
    second = _start(processes, tmp_path / "b")
    first.end()
    assert_eventually(lambda: second.service.role() == "leader")
    assert_eventually(second.service.ready)
    assert second.leases[0].epoch == 2


def test_a_standby_of_a_service_that_answers_requests_is_not_ready(processes: list[Process], tmp_path: Path) -> None:
    _start(processes, tmp_path / "a")
    stop = threading.Event()
    settings = Settings(home=tmp_path / "b", lease_s=LEASE_S, state_url=f"sqlite:///{tmp_path}/{{service}}.db")
    standby = alone(NAME, _never_built, answers_requests=True)(settings, stop)
    assert (standby.role(), standby.ready()) == ("standby", False)
    stop.set()
    standby.run()


def _never_built(settings: Settings, stop: threading.Event, lease: Lease) -> Worker:
    raise AssertionError("a standby builds nothing")


def test_two_instances_of_one_home_have_names_or_wait(processes: list[Process], tmp_path: Path) -> None:
    named = [_start(processes, tmp_path / "a", name) for name in ("1", "2", "2")]
    assert [process.service.role() for process in named] == ["leader", "standby", "standby"]
    assert instance_name(named[0].settings) != instance_name(named[1].settings)


def test_a_standby_that_is_stopped_never_builds_the_service(processes: list[Process], tmp_path: Path) -> None:
    _start(processes, tmp_path / "a")
    second = _start(processes, tmp_path / "b")
    second.end()
    assert (second.leases, second.error) == ([], None)


def test_a_command_that_must_be_alone_is_refused_while_the_service_runs(
    processes: list[Process], tmp_path: Path
) -> None:
    first = _start(processes, tmp_path / "home")
    with pytest.raises(ConfigError, match=f"{NAME} runs with the home"), locked(NAME, first.settings):
        pass
    other = first.settings.model_copy(update={"home": tmp_path / "other"})
    with locked(NAME, other), pytest.raises(ConfigError), locked(NAME, other):
        pass


def test_a_leader_ends_when_another_instance_has_taken_its_lease(processes: list[Process], tmp_path: Path) -> None:
    first = _start(processes, tmp_path / "a")
    lease = first.leases[0]
    thief = Lease(open_database(first.settings.database_url(NAME)), NAME, lease.owner, SystemClock(), LEASE_S)
    assert_eventually(lambda: thief.acquire(alone=True))  # not between a look and a renewal
    assert_eventually(first.has_ended)
    assert isinstance(first.error, LeaseLost)
    thief.renew()
    thief.close()


def test_the_database_of_a_former_leader_takes_no_change(processes: list[Process], tmp_path: Path) -> None:
    first = _start(processes, tmp_path / "a")
    lease = first.leases[0]
    engine = open_database(first.settings.database_url(NAME), metadata, fence=lease.check)
    first.end()
    second = _start(processes, tmp_path / "b")
    assert second.service.role() == "leader"
    with pytest.raises(LeaseLost), engine.begin() as connection:
        connection.execute(insert(rows).values(number=1))
    engine.dispose()


def test_an_instance_on_sqlite_keeps_its_name_when_its_home_moves(tmp_path: Path) -> None:
    names = {instance_name(Settings(home=tmp_path / home)) for home in ("before", "after")}
    assert len(names) == 1


def test_instances_of_two_homes_on_one_database_have_two_names(tmp_path: Path) -> None:
    url = "postgresql+psycopg://me@host/{service}"
    names = {instance_name(Settings(home=tmp_path / home, state_url=url)) for home in ("a", "b")}
    assert len(names) == 2

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert, select

from driftloop.process.errors import LeaseLost
from driftloop.runner.lease import Lease
from driftloop.runner.tables import connect, open_database, reading
from tests.helpers.clock import FakeClock

DURATION_S = 15.0
metadata = MetaData()
rows = Table("rows", metadata, Column("number", Integer, primary_key=True))

Make = Callable[..., Lease]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture
def make(url: str, clock: FakeClock) -> Iterator[Make]:
    """Return a function that creates an instance's lease on one database."""
    made: list[Lease] = []

    def instance(owner: str) -> Lease:
        made.append(Lease(connect(url), "training", owner, clock, DURATION_S))
        return made[-1]

    yield instance
    for lease in made:
        lease.close()


def _numbers(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return list(connection.execute(select(rows.c.number)).scalars())


def _add(engine: Engine, number: int) -> None:
    with engine.begin() as connection:
        connection.execute(insert(rows).values(number=number))


def test_the_first_instance_takes_the_lease_and_the_second_waits(make: Make) -> None:
    first, second = make("a"), make("b")
    assert first.acquire()
    assert not second.acquire()
    assert (first.epoch, second.epoch) == (1, 0)


def test_a_standby_waits_as_long_as_the_owner_renews(make: Make, clock: FakeClock) -> None:
    owner, standby = make("a"), make("b")
    owner.acquire()
    for _ in range(10):
        clock.move(DURATION_S - 1)
        owner.renew()
        assert not standby.acquire()


def test_a_standby_takes_over_when_the_owner_stops_renewing(make: Make, clock: FakeClock) -> None:
    owner, standby = make("a"), make("b")
    owner.acquire()
    assert not standby.acquire()
    clock.move(DURATION_S - 1)
    assert not standby.acquire()
    clock.move(1)
    assert standby.acquire()
    assert standby.epoch == owner.epoch + 1


def test_the_wall_clocks_of_two_machines_need_not_agree(make: Make, url: str, clock: FakeClock) -> None:
    ahead = FakeClock(wall_ms=clock.now_ms() + 10 * 86_400_000)
    owner, standby = make("a"), Lease(connect(url), "training", "b", ahead, DURATION_S)
    owner.acquire()
    assert not standby.acquire()
    ahead.move(DURATION_S - 1)
    owner.renew()
    assert not standby.acquire()
    standby.close()


def test_a_released_lease_is_free_at_once(make: Make) -> None:
    owner, standby = make("a"), make("b")
    owner.acquire()
    owner.release()
    assert standby.acquire()
    owner.release()
    standby.renew()


def test_a_restart_takes_its_own_lease_at_once_with_a_new_epoch(make: Make) -> None:
    killed, restarted = make("a"), make("a")
    killed.acquire()
    assert restarted.acquire(alone=True)
    assert restarted.epoch == killed.epoch + 1
    with pytest.raises(LeaseLost):
        killed.renew()


def test_a_second_process_with_the_same_name_waits_while_the_first_lives(make: Make) -> None:
    first, second = make("a"), make("a")
    first.acquire()
    assert not second.acquire(alone=False)


def test_of_two_standbys_one_takes_over(make: Make, clock: FakeClock) -> None:
    owner, standbys = make("a"), [make("b"), make("c")]
    owner.acquire()
    for standby in standbys:
        standby.acquire()
    clock.move(DURATION_S)
    assert [standby.acquire() for standby in standbys] == [True, False]


def test_a_zombie_that_wakes_up_writes_nothing(make: Make, url: str, clock: FakeClock) -> None:
    zombie, owner = make("a"), make("b")
    zombie.acquire()
    of_zombie = open_database(url, metadata, fence=zombie.check)
    _add(of_zombie, 1)
    owner.acquire()
    clock.move(DURATION_S)
    assert owner.acquire()
    of_owner = open_database(url, metadata, fence=owner.check)
    with pytest.raises(LeaseLost, match="belongs to b with epoch 2"):
        _add(of_zombie, 2)
    _add(of_owner, 3)
    assert _numbers(of_zombie) == _numbers(of_owner) == [1, 3]
    with pytest.raises(LeaseLost):
        zombie.renew()
    with pytest.raises(LeaseLost), zombie.held():
        raise AssertionError("a zombie holds no lease")
    of_zombie.dispose()
    of_owner.dispose()

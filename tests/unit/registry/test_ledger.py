from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.process.errors import Retriable
from driftloop.runner.tables import open_database
from services.registry.adapters.mirror_queue import SqlMirrorQueue
from services.registry.adapters.sql import SqlLedger, metadata
from services.registry.domain import transitions as machine
from services.registry.domain.release import Change, LoopReleases
from tests.unit.registry.builders import candidate, offline, policy


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path / 'registry.db'}", metadata)
    yield opened
    opened.dispose()


def save(engine: Engine, before: LoopReleases, change: Change) -> None:
    with engine.begin() as connection:
        ledger = SqlLedger(connection)
        assert ledger.load(before.loop) == before
        ledger.save(before, change.state, change.touched)


def first_champion() -> Change:
    return machine.judge_offline(LoopReleases("orders"), candidate(1), offline(1), policy())


def test_a_saved_state_is_loaded(engine: Engine) -> None:
    change = first_champion()
    save(engine, LoopReleases("orders"), change)
    with engine.begin() as connection:
        ledger = SqlLedger(connection)
        assert ledger.load("orders") == change.state
        assert ledger.load("other") == LoopReleases("other")
        assert ledger.has_release("r-1")
        assert not ledger.has_release("r-2")


def test_one_of_two_writers_at_the_same_epoch_must_retry(engine: Engine) -> None:
    save(engine, LoopReleases("orders"), first_champion())
    with engine.begin() as connection:
        fast, slow = SqlLedger(connection), SqlLedger(connection)
        before = fast.load("orders")
        assert slow.load("orders") == before
        second = machine.judge_offline(before, candidate(2), offline(2), policy())
        third = machine.judge_offline(before, candidate(3), offline(3), policy())
        fast.save(before, second.state, second.touched)
        with pytest.raises(Retriable, match="epoch 1"):
            slow.save(before, third.state, third.touched)


def test_one_of_two_writers_of_the_first_row_must_retry(engine: Engine) -> None:
    with engine.begin() as connection:
        fast, slow = SqlLedger(connection), SqlLedger(connection)
        assert fast.load("orders") == slow.load("orders")
        change = first_champion()
        fast.save(LoopReleases("orders"), change.state, change.touched)
        with pytest.raises(Retriable):
            slow.save(LoopReleases("orders"), change.state, change.touched)


def test_a_conflict_without_a_new_epoch_must_retry_too(engine: Engine) -> None:
    save(engine, LoopReleases("orders"), first_champion())
    with engine.begin() as connection:
        fast, slow = SqlLedger(connection), SqlLedger(connection)
        before = fast.load("orders")
        slow.load("orders")
        fast.save(before, machine.set_paused(before, True, 0).state, ())
        with pytest.raises(Retriable):
            slow.save(before, before, ())


def test_the_converged_epoch_never_decreases(engine: Engine) -> None:
    save(engine, LoopReleases("orders"), first_champion())
    with engine.begin() as connection:
        ledger = SqlLedger(connection)
        ledger.converged("orders", 1)
        ledger.converged("orders", 0)
        assert connection.exec_driver_sql("SELECT converged_epoch FROM loops").scalar() == 1


def test_releases_are_queued_for_a_copy_and_rejected_candidates_are_not(engine: Engine) -> None:
    queue = SqlMirrorQueue(engine, "a")
    save(engine, LoopReleases("orders"), first_champion())
    state = first_champion().state
    save(engine, state, machine.judge_offline(state, candidate(2), offline(2, VerdictOutcome.WORSE), policy()))
    assert queue.backlog() == 1
    task = queue.claim(0, 0 + 60_000)
    assert task is not None
    assert (task.release_id, task.attempts) == ("r-1", 0)
    assert queue.aliases("orders") == {"champion": "r-1"}
    assert (queue.release("r-1").stage, queue.release("r-1").bundle_digest) == ("champion", "digest-1")
    queue.save_version("r-1", "7")
    queue.done(task)
    assert (queue.backlog(), queue.claim(0, 0 + 60_000), queue.version("r-1")) == (0, None, "7")


def test_a_change_during_a_copy_queues_another_copy(engine: Engine) -> None:
    queue = SqlMirrorQueue(engine, "a")
    save(engine, LoopReleases("orders"), first_champion())
    task = queue.claim(0, 0 + 60_000)
    assert task is not None
    state = first_champion().state
    save(engine, state, machine.fail_route(state, 1, "no probe", (), 0))
    queue.done(task)
    again = queue.claim(0, 0 + 60_000)
    assert again is not None
    assert again.generation > task.generation


def test_a_copy_that_failed_is_due_later(engine: Engine) -> None:
    queue = SqlMirrorQueue(engine, "a")
    save(engine, LoopReleases("orders"), first_champion())
    task = queue.claim(0, 0 + 60_000)
    assert task is not None
    queue.failed(task, 500, "no answer")
    assert queue.claim(499, 499 + 60_000) is None
    later = queue.claim(500, 500 + 60_000)
    assert later is not None
    assert later.attempts == 1


def test_of_two_instances_one_copies_a_release(engine: Engine) -> None:
    first, second = SqlMirrorQueue(engine, "a"), SqlMirrorQueue(engine, "b")
    save(engine, LoopReleases("orders"), first_champion())
    task = first.claim(0, 60_000)
    assert task is not None
    assert second.claim(10, 60_010) is None
    first.done(task)
    assert second.claim(20, 60_020) is None
    assert first.backlog() == 0


def test_a_restarted_instance_continues_with_the_release_that_it_had_claimed(engine: Engine) -> None:
    save(engine, LoopReleases("orders"), first_champion())
    assert SqlMirrorQueue(engine, "a").claim(0, 60_000) is not None
    assert SqlMirrorQueue(engine, "a").claim(10, 60_010) is not None


def test_after_the_deadline_another_instance_copies_and_the_first_changes_nothing(engine: Engine) -> None:
    zombie, owner = SqlMirrorQueue(engine, "a"), SqlMirrorQueue(engine, "b")
    save(engine, LoopReleases("orders"), first_champion())
    lost = zombie.claim(0, 60_000)
    task = owner.claim(60_000, 120_000)
    assert lost is not None
    assert task is not None
    zombie.save_version("r-1", "7")
    zombie.failed(lost, 999_999, "no answer")
    zombie.done(lost)
    assert (owner.backlog(), owner.version("r-1")) == (1, "")
    owner.save_version("r-1", "8")
    owner.done(task)
    assert (owner.backlog(), owner.version("r-1")) == (0, "8")

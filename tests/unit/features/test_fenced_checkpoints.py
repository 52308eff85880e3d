from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.bus.ports import TopicPartition
from driftloop.process.errors import ConfigError
from driftloop.runner.lease import Lease
from driftloop.runner.tables import connect
from services.features.adapters.checkpoint_file import CheckpointFile
from services.features.adapters.fenced_checkpoints import FencedCheckpoints
from services.features.ports import Checkpoint
from tests.helpers.clock import FakeClock

PARTITION = TopicPartition("rows", 0)


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Lease]:
    lease = Lease(connect(f"sqlite:///{tmp_path / 'features.db'}"), "features", "a", FakeClock(), 15.0)
    lease.acquire()
    yield lease
    lease.close()


def _in_home(home: Path, lease: Lease) -> FencedCheckpoints:
    home.mkdir(exist_ok=True)
    return FencedCheckpoints(CheckpointFile(home / "features.checkpoint"), lease)


def test_the_newest_checkpoint_is_loaded(tmp_path: Path, lease: Lease) -> None:
    checkpoints = _in_home(tmp_path / "a", lease)
    assert checkpoints.load() is None
    for offset in (3, 5):
        checkpoints.save(Checkpoint({PARTITION: offset}))
    assert _in_home(tmp_path / "a", lease).load() == Checkpoint({PARTITION: 5}, sequence=2)


@pytest.mark.parametrize("has_old_file", [False, True])
def test_a_home_without_the_newest_checkpoint_is_refused(tmp_path: Path, lease: Lease, has_old_file: bool) -> None:
    other = _in_home(tmp_path / "b", lease)
    if has_old_file:
        other.save(Checkpoint({PARTITION: 1}))
    _in_home(tmp_path / "a", lease).save(Checkpoint({PARTITION: 9}))
    with pytest.raises(ConfigError, match=r"b/features\.checkpoint is not the newest .* which a has written: copy"):
        other.load()


def test_a_home_whose_backfill_wrote_a_checkpoint_is_accepted(tmp_path: Path, lease: Lease) -> None:
    _in_home(tmp_path / "a", lease).save(Checkpoint({PARTITION: 9}))
    other = _in_home(tmp_path / "b", lease)
    other.save(Checkpoint())
    assert other.load() == Checkpoint(sequence=2)


def test_a_file_written_before_its_number_was_stored_is_accepted(tmp_path: Path, lease: Lease) -> None:
    """This happens when the process is killed between the two."""
    checkpoints = _in_home(tmp_path / "a", lease)
    checkpoints.save(Checkpoint({PARTITION: 3}))
    CheckpointFile(tmp_path / "a" / "features.checkpoint").save(Checkpoint({PARTITION: 5}, sequence=2))
    assert checkpoints.load() == Checkpoint({PARTITION: 5}, sequence=2)
    checkpoints.save(Checkpoint({PARTITION: 7}))
    assert checkpoints.load() == Checkpoint({PARTITION: 7}, sequence=2)


def test_a_file_of_an_older_version_is_accepted(tmp_path: Path, lease: Lease) -> None:
    (tmp_path / "a").mkdir()
    CheckpointFile(tmp_path / "a" / "features.checkpoint").save(Checkpoint({PARTITION: 3}))
    assert _in_home(tmp_path / "a", lease).load() == Checkpoint({PARTITION: 3})

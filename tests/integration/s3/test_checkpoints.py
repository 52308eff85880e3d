"""The features' checkpoint and the record of views are in the bucket, so an instance with another home continues."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.bus.ports import TopicPartition
from driftloop.featurestore.defined_views import read_defined_views, write_defined_views
from driftloop.process.errors import ConfigError
from driftloop.process.object_store import RemoteFolder, write_file
from driftloop.runner.lease import Lease
from driftloop.runner.tables import connect
from services.features.adapters.fenced_checkpoints import FencedCheckpoints
from services.features.bootstrap import checkpoint_file
from services.features.config import FeaturesSettings
from services.features.ports import Checkpoint
from tests.helpers.clock import FakeClock

pytestmark = pytest.mark.integration

PARTITION = TopicPartition("rows", 0)


def settings_of(home: Path, folder: RemoteFolder) -> FeaturesSettings:
    return FeaturesSettings(home=home, store_url=str(folder))


def test_an_instance_with_another_home_continues_from_the_newest_checkpoint(
    folder: RemoteFolder, tmp_path: Path
) -> None:
    clock, url = FakeClock(), f"sqlite:///{tmp_path / 'features.db'}"
    first = Lease(connect(url), "features", "first", clock, 15.0)
    assert first.acquire()
    checkpoints = FencedCheckpoints(checkpoint_file(settings_of(tmp_path / "a", folder)), first)
    assert checkpoints.load() is None
    for offset in (3, 5):
        checkpoints.save(Checkpoint({PARTITION: offset}))
    first.release()
    second = Lease(connect(url), "features", "second", clock, 15.0)
    assert second.acquire()
    taken_over = FencedCheckpoints(checkpoint_file(settings_of(tmp_path / "b", folder)), second)
    assert taken_over.load() == Checkpoint({PARTITION: 5}, sequence=2)
    assert not (tmp_path / "a" / "state").exists()
    for lease in (first, second):
        lease.close()


def test_a_damaged_checkpoint_in_the_bucket_is_refused(folder: RemoteFolder, tmp_path: Path) -> None:
    write_file(folder / "state", "features.checkpoint", b"ARROW1\0\0 and nothing more")
    with pytest.raises(ConfigError, match=r"s3://.*/state/features\.checkpoint is damaged"):
        checkpoint_file(settings_of(tmp_path, folder)).load()


def test_views_are_recorded_for_instances_with_another_home(folder: RemoteFolder, tmp_path: Path) -> None:
    views = {"sales": {"total": "double"}}
    write_defined_views(settings_of(tmp_path / "a", folder), {"orders": views})
    assert read_defined_views(settings_of(tmp_path / "b", folder), "orders") == views

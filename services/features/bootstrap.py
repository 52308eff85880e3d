"""Wires the features service."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.featurestore.defined_views import write_defined_views
from driftloop.featurestore.feast_client import open_store
from driftloop.featurestore.online_address import OnlineAddress
from driftloop.loop.load import load_loops
from driftloop.process.clock import Clock, SystemClock
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.object_store import require_conditional_puts
from driftloop.runner.batch_loop import BatchLoop, LoopOptions
from driftloop.runner.lease import Lease
from services.features.adapters.checkpoint_file import CheckpointFile
from services.features.adapters.delta_offline import DeltaOffline
from services.features.adapters.feast_views import apply
from services.features.adapters.fenced_checkpoints import FencedCheckpoints
from services.features.adapters.single_writer import claim
from services.features.adapters.sqlite_online import SqliteOnline
from services.features.config import FeaturesSettings
from services.features.domain.loop_run import LoopRun
from services.features.domain.views import ViewSpec, defined_features
from services.features.flush import Flush
from services.features.handlers import TOPIC
from services.features.ports import Checkpoint, OnlineStore
from services.features.refill import refill
from services.features.releases_in_use import in_use_problems
from services.features.restore import restored
from services.features.service import Features, Parts

NAME = "features"
LAG_EVERY_S = 5.0


def build(settings: FeaturesSettings, stop: threading.Event, lease: Lease) -> BatchLoop:
    """Build the service on real parts, at its last checkpoint.

    Raises:
        ConfigError: a loop, its Feast definitions or the time zone is wrong, or the views have changed.
    """
    lock = claim(lock_path(settings))
    require_conditional_puts(settings.shared)
    specs = declared_views(settings)
    checkpoints = FencedCheckpoints(checkpoint_file(settings), lease)
    checkpoint = checkpoints.load() or Checkpoint()
    kafka = KafkaSettings.of(settings, NAME)
    consumer = KafkaBatchConsumer(kafka, [TOPIC], NAME, linger_s=settings.features_linger_s)
    producer = KafkaBatchProducer(kafka)
    clock = SystemClock()
    online, offline = open_online(settings, clock, stop), DeltaOffline(settings.lake)
    runs = restored(specs, len(consumer.assignment()), checkpoint)
    for name in runs:
        if name in checkpoint.loops:
            refill(name, checkpoint.loops[name], online, offline)
    parts = Parts(consumer, producer, online, Flush(offline, checkpoints, producer, clock), clock, lock)
    return assemble(runs, checkpoint, parts, settings, stop)


def assemble(
    runs: Mapping[str, LoopRun],
    checkpoint: Checkpoint,
    parts: Parts,
    settings: FeaturesSettings,
    stop: threading.Event,
    *,
    background_flush: bool = True,
) -> BatchLoop:
    """Build the service on any parts, at a checkpoint."""
    return BatchLoop(
        Features(runs, checkpoint, parts, settings), parts.consumer, stop, parts.clock,
        options=LoopOptions(background_flush, lag_every_s=LAG_EVERY_S),
        resources=[parts.online], producer=parts.producer,
    )  # fmt: skip


def declared_views(settings: FeaturesSettings) -> dict[str, list[ViewSpec]]:
    """Return the views of each running loop, registered with Feast.

    Raises:
        LoopDefinitionError: the definitions are wrong, or lack what a release reads that scores now.
    """
    loops = load_loops(settings.loops_dir, settings.loops)
    views = apply(open_store(settings), loops, settings.feature_repo)
    problems = [problem for loop in loops for problem in in_use_problems(loop, views[loop.name], settings)]
    if problems:
        raise LoopDefinitionError(problems)
    write_defined_views(settings, {loop: defined_features(specs) for loop, specs in views.items()})
    return views


def open_online(settings: FeaturesSettings, clock: Clock, stop: threading.Event) -> OnlineStore:
    """Return the online store of the settings.

    Raises:
        ConfigError: its address is wrong.
    """
    if not settings.online_url:
        return SqliteOnline(settings.online_db)
    from services.features.adapters.redis_online import RedisOnline  # slow to import, and only Redis needs it

    address = OnlineAddress.parse(settings.online_url, settings.online_password_file, settings.online_ca_file)
    return RedisOnline(address, clock, stop)


def lock_path(settings: FeaturesSettings) -> Path:
    """Return the path of the lock that the writer of the stores holds."""
    return settings.home / "state" / "features.lock"


def checkpoint_file(settings: FeaturesSettings) -> CheckpointFile:
    """Return the file of the checkpoint; with a bucket, an object in it, which a standby on another machine reads."""
    return CheckpointFile(settings.shared / "state" / "features.checkpoint")

"""Computes a loop's features from the lake after a view was added: ``python -m services.features.backfill``.

The service must be stopped. Offline views get their missing rows, as the live engine would have written them. The
checkpoint is replaced, and the service fills the online store from the offline views at its start.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import pyarrow as pa

from driftloop.contracts.topics import topic
from driftloop.featurestore.lake import LakeTable
from driftloop.process import log
from driftloop.process.clock import SystemClock
from driftloop.process.errors import ConfigError
from driftloop.runner.alone import exclusive
from services.features.adapters.delta_offline import DeltaOffline
from services.features.adapters.fenced_checkpoints import FencedCheckpoints
from services.features.adapters.single_writer import claim
from services.features.bootstrap import NAME, checkpoint_file, declared_views, lock_path
from services.features.config import FeaturesSettings
from services.features.domain.loop_run import LoopRun
from services.features.domain.replay import replay
from services.features.domain.views import ViewSpec
from services.features.flush import Unflushed
from services.features.handlers import TOPIC
from services.features.ports import Checkpoint


def backfill(settings: FeaturesSettings, loop: str, specs: Sequence[ViewSpec]) -> dict[str, object]:
    """Bring the loop's offline views and its checkpoint to the newest watermark in the lake; return a summary.

    Raises:
        ConfigError: the service runs, or the lake lacks the loop's watermarks or an event type.
    """
    with claim(lock_path(settings)), exclusive(NAME, settings) as lease:
        run = LoopRun(loop, specs, topic(TOPIC).partitions)
        advances = replay(run, _events(settings, loop, specs), _watermarks(settings, loop), topic(TOPIC).partitions)
        offline, unflushed, rows, versions = DeltaOffline(settings.lake), Unflushed(), 0, []
        for advance in advances:
            unflushed.add(advance)
            rows += advance.rows
            if unflushed.count >= settings.features_flush_rows:
                offline.append(loop, specs, unflushed.rows, advance.watermark_ms, SystemClock().now_ms())
                unflushed = Unflushed()
        state = run.snapshot()
        if state.watermark_ms is not None:
            versions = offline.append(loop, specs, unflushed.rows, state.watermark_ms, SystemClock().now_ms())
        file = checkpoint_file(settings)
        others = (file.load() or Checkpoint()).loops
        # Read from the beginning: rows that the state already has are dropped, for every loop.
        FencedCheckpoints(file, lease).save(Checkpoint({}, {**others, loop: state}))
    return {
        "loop": loop,
        "watermark_ms": state.watermark_ms,
        "rows": rows,
        "views": {version.view: version.version for version in versions},
    }


def _events(settings: FeaturesSettings, loop: str, specs: Sequence[ViewSpec]) -> dict[str, pa.Table]:
    folder = settings.lake / loop / "events"
    return {name: _read(LakeTable(folder / name)) for name in {spec.feed.event_type for spec in specs}}


def _watermarks(settings: FeaturesSettings, loop: str) -> pa.Array:
    table = _read(LakeTable(settings.lake / loop / "watermarks"))
    return table.sort_by("watermark_ms")["watermark_ms"].to_numpy()


def _read(table: LakeTable) -> pa.Table:
    if not table.exists():
        raise ConfigError(f"{table.path} is not there yet; ingestion writes it")
    return table.read()


def main() -> int:
    """Run the backfill for the loop named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Compute a loop's features again from the lake.")
    parser.add_argument("--loop", required=True)
    loop = parser.parse_args().loop
    settings = FeaturesSettings(loops=(loop,))
    log.configure("features-backfill", settings.log_level)
    try:
        done = backfill(settings, loop, declared_views(settings)[loop])
    except ConfigError as error:
        log.get(__name__).error("configuration", problem=str(error))
        return 2
    sys.stdout.write(json.dumps(done) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

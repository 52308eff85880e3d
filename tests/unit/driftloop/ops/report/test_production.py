from __future__ import annotations

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.ops.report.production import windows
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.releases import ReleaseState, StageAt
from tests.helpers.lifecycle import LifecycleEvents, at


def test_of_two_stages_at_one_time_the_one_of_the_newer_epoch_counts() -> None:
    life = LifecycleEvents()
    sums = monitoring.ReleaseWindow(release_id="r-1", role="challenger", count=1)
    life.add(3, monitoring.WindowClosed(start_ms=at(2), end_ms=at(3), releases=[sums]))
    stages = tuple(
        StageAt(stage, 0.0, epoch, at(1), "", f"{epoch}") for epoch, stage in enumerate(["shadow", "canary"], start=2)
    )
    [row] = windows(ReleaseState("r-1", "orders", stages=stages), LoopHistory(life.loop, life.events))
    assert row["stage"] == "canary"

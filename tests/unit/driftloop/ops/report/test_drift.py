"""What detectors read, told again from windows."""

from __future__ import annotations

import math

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import rfc3339
from driftloop.loop import LoopDefinition
from driftloop.ops.report.drift import readings, stability
from driftloop.readmodel.loop_history import LoopHistory
from tests.helpers.lifecycle import LifecycleEvents, drifting
from tests.unit.monitoring.harness import definition


def with_detectors(**detectors: dict[str, object]) -> LoopDefinition:
    data = definition().model_dump(by_alias=True)
    return LoopDefinition.model_validate({**data, "monitoring": {**data["monitoring"], "detectors": detectors}})


def history_of(life: LifecycleEvents) -> LoopHistory:
    return LoopHistory(life.loop, life.events)


RETURNS = with_detectors(returns={"kind": "block_residual", "mode": "trigger", "threshold": 4.0, "blocks": 4})


def test_the_statistic_passes_the_threshold_when_the_drift_fills_the_blocks() -> None:
    [returns, _] = readings(history_of(drifting()), RETURNS)
    by_day = {rfc3339(point.at_ms)[:10]: point.value for point in returns.points}
    assert by_day["2013-01-18"] < 4.0
    assert by_day["2013-01-24"] > 4.0


def test_a_new_champion_begins_with_no_blocks() -> None:
    [returns, _] = readings(history_of(drifting()), RETURNS)
    days = [rfc3339(point.at_ms)[:10] for point in returns.points]
    assert "2013-02-02" in days  # the last window of the old one
    assert not {"2013-02-03", "2013-02-04", "2013-02-05"} & set(days)
    assert "2013-02-06" in days


def test_alarms_are_told_as_they_were_raised() -> None:
    [returns, lines] = readings(history_of(drifting()), RETURNS)
    assert [point.value for point in returns.alarms] == [5.3]
    assert (lines.detector, lines.kind, lines.points) == ("lines", "", ())


def test_without_a_definition_only_alarms_are_known() -> None:
    found = readings(history_of(drifting()), None)
    assert [(each.detector, each.points, len(each.alarms)) for each in found] == [("lines", (), 1), ("returns", (), 1)]


def test_inputs_are_ranked_by_how_far_they_rose_under_one_champion() -> None:
    life = drifting()
    for window in life.windows:
        window.data.histograms.append(
            monitoring.Histogram(
                release_id=window.data.champion_release_id,
                name="large",
                counts=[100],
                psi=8 + 0.1 * math.sin(window.time_ms),
            )
        )
    found = stability(history_of(life))
    assert [each.name for each in found][2] == "large"
    assert found[0].rise > 4 > found[2].rise
    assert {point.release for point in found[0].points} == {"r-a", "r-c"}


def test_too_few_windows_rose_by_nothing() -> None:
    life = LifecycleEvents()
    for day, psi in enumerate((0.1, 0.2, 0.9)):
        life.window(day, "r-a", psi=psi)
    assert [each.rise for each in stability(history_of(life))] == [0.0, 0.0]

from __future__ import annotations

from itertools import count
from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Draft, Envelope, from_draft
from driftloop.ops.report.releases import outcomes, quality
from driftloop.readmodel.loop_history import LoopHistory

NUMBERS = count()


def event(data: Message, time_ms: int = 0) -> Envelope[Any]:
    return from_draft(
        Draft(f"event {next(NUMBERS)}", "orders", time_ms, data),
        source="test",
        wall_time_ms=0,
        cause=None,
        traceparent=None,
    )


def sums(loss: float, residual: float, count: int = 4) -> monitoring.ReleaseWindow:
    return monitoring.ReleaseWindow(
        release_id="r-1", role="champion", count=count, loss_sum=loss, residual_sum=residual, answered=5
    )


def closed(name: str, end_ms: int, *releases: monitoring.ReleaseWindow) -> Envelope[Any]:
    joins = monitoring.JoinCounts(joined=4, corrected=1, overdue=1)
    return event(monitoring.WindowClosed(loop="orders", window_id=name, end_ms=end_ms, releases=releases, joins=joins))


def restated(name: str, known_by: str, before: float, after: float, corrections: int) -> Envelope[Any]:
    return event(
        monitoring.WindowRestated(
            loop="orders", window_id=name, before=[sums(before, 1.0)], after=[sums(after, -2.0)],
            corrections=corrections, known_by_window_id=known_by,
        )
    )  # fmt: skip


WINDOWS = [closed("w1", 1000, sums(2.0, 1.0)), closed("w2", 2000, sums(4.0, 1.0))]


def test_quality_is_the_mean_of_each_closed_window_that_has_rows() -> None:
    found = quality(LoopHistory("orders", [*WINDOWS, closed("w3", 3000, sums(0.0, 0.0, 0))]))
    assert [(row["loss"], row["residual"], row["corrections"]) for row in found] == [(0.5, 0.25, 0), (1.0, 0.25, 0)]


def test_a_restated_window_shows_its_newest_numbers_and_all_its_corrections_in_any_order_of_events() -> None:
    twice = [restated("w1", "w3", 6.0, 8.0, 2), restated("w1", "w2", 2.0, 6.0, 1)]
    for events in ([*WINDOWS, *twice], [*twice[::-1], *WINDOWS]):
        first, second = quality(LoopHistory("orders", events))
        assert (first["loss"], first["residual"], first["corrections"]) == (2.0, -0.5, 3)
        assert (second["loss"], second["corrections"]) == (1.0, 0)


def test_counts_are_summed_over_windows() -> None:
    found = outcomes(LoopHistory("orders", [*WINDOWS, restated("w1", "w2", 2.0, 6.0, 3)]))
    assert (found["joined"], found["corrected"], found["overdue"], found["restated"]) == (8, 2, 2, 3)

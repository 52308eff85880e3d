from __future__ import annotations

import pytest

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.demo.story import tell, tell_data
from tests.helpers.story import DAY_MS, Story


def sums(loss: float, count: int = 4) -> list[monitoring.ReleaseWindow]:
    champion = monitoring.ReleaseWindow(release_id="r-1", role="champion", count=count, loss_sum=loss)
    return [monitoring.ReleaseWindow(release_id="r-2", role="challenger", count=count, loss_sum=9.0), champion]


@pytest.mark.parametrize(
    ("corrections", "count", "line"),
    [
        (1, 4, "1 outcome corrected; the champion's loss is 0.7500, not 0.5000"),
        (1200, 4, "1,200 outcomes corrected; the champion's loss is 0.7500, not 0.5000"),
        (1, 0, "1 outcome corrected"),
    ],
)
def test_a_window_that_was_restated_is_news(corrections: int, count: int, line: str) -> None:
    data = monitoring.WindowRestated(
        window_id="w1", start_ms=DAY_MS, end_ms=2 * DAY_MS, corrections=corrections,
        before=sums(2.0, count), after=sums(3.0, count),
    )  # fmt: skip
    assert tell_data(data) == f"RESTATED the window of 1970-01-02 00:00: {line}"
    event = Story(day=3).tell("restated", data, "window 3")
    assert tell(event) == f"1970-01-04 00:00  RESTATED the window of 1970-01-02 00:00: {line}"

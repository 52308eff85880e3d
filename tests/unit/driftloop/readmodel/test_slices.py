from __future__ import annotations

import pytest

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.readmodel.slices import slice_quality


def window(*parts: tuple[str, int, float, float, float], release: str = "r-1") -> monitoring.WindowClosed:
    """Close a window; each part has slice, count, and sums of loss, score and outcome."""
    return monitoring.WindowClosed(
        slices=[
            monitoring.SliceWindow(
                release_id=release, slice=name, count=count, loss_sum=loss, score_sum=score, outcome_sum=outcome
            )
            for name, count, loss, score, outcome in parts
        ]
    )


WINDOWS = [
    window(("", 100, 40.0, 30.0, 20.0), ("sex=f", 20, 10.0, 9.0, 8.0), ("sex=m", 80, 30.0, 21.0, 12.0)),
    window(("", 100, 40.0, 30.0, 20.0), ("sex=f", 10, 5.0, 6.0, 4.0), ("sex=x", 2, 1.0, 1.0, 1.0)),
    window(("sex=f", 99, 99.0, 99.0, 99.0), release="r-2"),
]


def test_a_slice_has_the_champions_means_over_all_windows() -> None:
    everything, women, men, other = slice_quality(WINDOWS, "r-1", {"sex": 30})
    assert [part.slice for part in (everything, women, men, other)] == ["all", "sex=f", "sex=m", "sex=x"]
    assert (everything.rows, everything.loss) == (200, 0.4)
    assert everything.calibration == pytest.approx(0.1)
    assert (women.rows, women.loss, women.score, women.outcome) == (30, 0.5, 0.5, 0.4)
    assert women.calibration == pytest.approx(0.1)
    assert men.rows == 80


def test_a_slice_with_too_few_outcomes_has_no_numbers() -> None:
    *_, other = slice_quality(WINDOWS, "r-1", {"sex": 30})
    assert other.to_json() == {
        "slice": "sex=x", "rows": 2, "min_rows": 30, "loss": None, "score": None, "outcome": None, "calibration": None,
    }  # fmt: skip


def test_a_champion_without_slices_has_none() -> None:
    assert slice_quality(WINDOWS, "r-3", {}) == []
    assert slice_quality([window()], "r-1", {}) == []

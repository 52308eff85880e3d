from __future__ import annotations

from driftloop.ops.report.numbers import GROUPS, numbers


def test_every_number_stands_under_its_heading_with_all_its_names() -> None:
    report = {
        "predictions": {"served": 102466, "failed": 0, "by_release": {"r-a_b": 91021}},
        "outcomes": {"late": 0},
        "ingestion": {"accepted": {"orders.placed": 1200}, "dead_lettered": 1},
        "feature_age_s": {"p50": 1740.0},
        "timings_s": {"first_champion": 87.66, "training": [12.853, 9.686], "alarm_to_serving": {"total": None}},
        "memory_mib": {"idle": 1432.41},
        "checks": [],
    }
    found = dict(numbers(report))
    assert list(found) == list(GROUPS.values())
    assert found["Predictions"] == [("served", "102,466"), ("failed", "0"), ("by release, r-a_b", "91,021")]
    assert found["Events"] == [("accepted, orders.placed", "1,200"), ("dead lettered", "1")]
    assert found["Age of features, s"] == [("p50", "1,740.0")]
    assert found["Wall time, s"] == [
        ("first champion", "87.7"), ("training", "12.9, 9.7"), ("alarm to serving, total", "none")
    ]  # fmt: skip


def test_where_nothing_was_trained_no_time_is_said() -> None:
    empty: dict[str, dict[str, object]] = {part: {} for part in GROUPS}
    assert dict(numbers({**empty, "timings_s": {"training": []}}))["Wall time, s"] == [("training", "none")]

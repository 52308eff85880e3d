import numpy as np

from services.serving.domain.probe import GoldenRow, ProbeAnswer, expected_release, probe_problem, probe_values
from services.serving.domain.route import ReleaseOnRoute, Route
from services.serving.domain.traffic_split import is_challenger
from tests.unit.serving.harness import CATEGORICAL, DEFINITION, NUMERIC, T0

A, B = ReleaseOnRoute("r-a", "a"), ReleaseOnRoute("r-b", "b")
ROUTE = Route("parcels", 4, A)
GOLDEN = GoldenRow(np.array([1.0, 2.0, 3.0, 4.0, 0.25]), np.array(["calm", "south"]))


def test_a_probe_has_golden_and_neutral_values() -> None:
    assert probe_values(DEFINITION, ROUTE, (NUMERIC, CATEGORICAL), GOLDEN, T0) == {
        "parcel_id": "probe-4",
        "decision_time_ms": T0,
        "depot": "south",
        "zone": 0,
        "weight": 0.25,
    }


def test_without_features_a_probe_still_has_a_decision_time() -> None:
    assert probe_values(DEFINITION, ROUTE, (NUMERIC, CATEGORICAL), GOLDEN, 0)["decision_time_ms"] == 1


def test_the_key_decides_which_release_must_answer() -> None:
    for share in (0.0, 0.3, 1.0):
        for epoch in range(1, 30):
            route = Route("parcels", epoch, A, B, share)
            expected = "r-b" if is_challenger(f"probe-{epoch}", "r-b", share) else "r-a"
            assert expected_release(route) == expected


def test_a_wrong_answer_to_a_probe_is_described() -> None:
    assert probe_problem(ROUTE, ProbeAnswer("r-a", "probe-parcels-4", (0.5,))) == ""
    assert "r-b answered the probe instead of r-a" in probe_problem(
        ROUTE, ProbeAnswer("r-b", "probe-parcels-4", (0.5,))
    )
    assert "prediction id" in probe_problem(ROUTE, ProbeAnswer("r-a", "another", (0.5,)))
    assert "score is nan" in probe_problem(ROUTE, ProbeAnswer("r-a", "probe-parcels-4", (float("nan"),)))
    assert "score is 0.5, inf" in probe_problem(ROUTE, ProbeAnswer("r-a", "probe-parcels-4", (0.5, float("inf"))))

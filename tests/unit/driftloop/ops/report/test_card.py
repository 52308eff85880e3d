"""The numbers of a model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from driftloop.model.bundle import REFERENCE, Input, Manifest, write_bundle
from driftloop.ops.report.bundles import BundleContent, read_bundle
from driftloop.ops.report.card import card
from driftloop.readmodel.loop_history import LoopHistory
from tests.helpers.lifecycle import LifecycleEvents, drifting, first_champion
from tests.unit.monitoring.harness import definition


def unread(_uri: str, _digest: str) -> BundleContent:
    return BundleContent(problem="there is no such file")


def of(release: str, life: LifecycleEvents | None = None) -> dict[str, Any]:
    return card(LoopHistory("orders", (life or drifting()).events), release, definition(), unread)


def test_it_says_what_the_release_is_and_where_it_came_from() -> None:
    found = of("r-c")
    assert found["intended_use"] == definition().description
    assert found["details"]["stage"] == "champion"
    assert found["details"]["run"] == "run-c"
    assert [each["kind"] for each in found["details"]["asked_for_by"]] == ["drift"]
    assert found["training"]["window"]["start"].startswith("2013-01-17")
    assert found["training"]["lake_versions"] == {"orders.placed": 3}
    assert found["training"]["rows"] == 1840
    assert [each["stage"] for each in found["verdicts"]] == ["offline", "shadow", "canary"]
    assert [each["name"] for each in found["slices"]] == ["channel=web"]


def test_it_tells_each_stage_beside_the_other_on_the_same_requests() -> None:
    found = of("r-c")["production"]["phases"]
    assert [each["stage"] for each in found] == ["shadow", "canary", "champion"]
    for each in found[:2]:
        assert each["paired_with"] == ["r-a"]
        assert each["paired_rows"] == 400
        assert each["paired_other_loss"] - each["paired_loss"] == pytest.approx(0.2)
    assert found[2]["paired_loss"] is None


def test_a_champion_is_told_beside_its_challengers() -> None:
    found = of("r-a")["production"]
    assert {each["paired_with"] for each in found["windows"]} == {None, "r-b", "r-c"}
    paired = [each for each in found["windows"] if each["paired_with"] == "r-c"]
    assert all(each["paired_loss"] > each["paired_other_loss"] for each in paired)


def test_calibration_counts_its_windows_as_champion() -> None:
    found = of("r-a")["calibration"]
    assert found["windows"] == 22
    assert found["residual"] == pytest.approx(0.2 * 14 / 22, abs=0.01)
    assert found["standard_errors"] > 3
    assert of("r-b")["calibration"] is None


def test_a_release_that_was_refused_has_a_card() -> None:
    found = of("r-b")
    assert found["details"]["stage"] == "rejected"
    assert found["outcomes"] == {}


def test_caveats_say_what_the_numbers_do_not() -> None:
    found = " ".join(of("r-a")["caveats"])
    assert "As champion its mean loss on shared requests was above that of r-b, r-c" in found
    assert "The bundle could not be read: there is no such file" in found
    assert "standard errors from 0 over 22 windows" in found
    assert "110 of 2,310 predictions while it was champion (4.8%)" in found
    assert "No verdict compared it" in found
    assert "No verdict compared it" not in " ".join(of("r-c")["caveats"])


def test_a_champion_with_no_traffic_yet_says_so() -> None:
    life = LifecycleEvents()
    life.window(0, "")
    first_champion(life)
    found = of("r-a", life)
    assert found["production"] == {"phases": [], "windows": []}
    assert any("No prediction that it made as champion" in each for each in found["caveats"])


def test_a_release_that_was_only_judged_offline_has_a_card() -> None:
    life = LifecycleEvents()
    life.verdict(1, "a", life.trained(1, "a", life.request(1, "a", life.window(0, ""), kind="schedule")))
    found = of("r-a", life)
    assert found["details"]["stage"] == "never entered a stage"
    assert found["production"]["phases"] == []


def test_the_bundle_fills_what_only_it_knows(tmp_path: Path) -> None:
    reference = {"inputs": {"lines": {"edges": [1.0], "counts": [50, 50], "missing": 0}}}
    manifest = Manifest(
        loop="orders", run_id="run-a", label_kind="count", feature_service="orders_v1",
        numeric=(Input("lines", "request", "double"),), categorical=(),
        training={"parameters": {"ridge": 1.0}, "code_sha256": "c0de", "trainer": "model:Trainer"},
    )  # fmt: skip
    digest = write_bundle(tmp_path / "b", manifest, {REFERENCE: json.dumps(reference).encode()})
    life = LifecycleEvents()
    for day in range(10):
        life.window(day, "")
    verdict = life.verdict(
        10, "a", life.trained(10, "a", life.request(10, "a", life.windows[0], kind="schedule"), f"{tmp_path}/b", digest)
    )
    life.promoted(10, "a", verdict)
    life.window(10, "r-a")
    found = card(LoopHistory("orders", life.events), "r-a", None, read_bundle)
    assert found["bundle"]["problem"] is None
    assert found["training"]["parameters"] == {"ridge": 1.0}
    assert found["training"]["numeric_inputs"] == ["lines"]
    assert found["details"]["trainer"] == "model:Trainer"
    assert found["missing_inputs"]["lines"] == {"production": 0.1, "training": 0.0}
    assert "lines was missing in 10.0% of its answers, in training in 0.0%." in found["caveats"]


@pytest.mark.parametrize("uri", ["", "s3://far/away", "bundles/none"])
def test_a_bundle_that_cannot_be_read_is_told_and_stops_nothing(uri: str) -> None:
    found = read_bundle(uri, "00")
    assert found.manifest is None
    assert found.problem


def test_a_bundle_of_another_digest_is_not_taken(tmp_path: Path) -> None:
    manifest = Manifest("orders", "run-a", "count", "orders_v1", (), (), {})
    write_bundle(tmp_path, manifest, {REFERENCE: b'{"inputs": {}}'})
    assert "the release says 00" in read_bundle(str(tmp_path), "00").problem

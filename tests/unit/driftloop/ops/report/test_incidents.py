"""An alarm, as people ask about it."""

from __future__ import annotations

from typing import Any

import pytest

from driftloop.ops.report.incidents import answers
from driftloop.ops.report.releases import quality
from driftloop.readmodel.attempts import incidents
from driftloop.readmodel.loop_history import LoopHistory
from tests.helpers.lifecycle import LifecycleEvents, drifting


def of(life: LifecycleEvents) -> dict[str, Any]:
    history = LoopHistory(life.loop, life.events)
    return answers(incidents(history)[-1], history, quality(history))


def test_an_alarm_that_a_promotion_answered_tells_before_and_after() -> None:
    found = of(drifting())
    assert found["state"] == "promoted"
    assert found["since"].startswith("2013-01-21")
    assert "r-c was promoted on 2013-02-02" in found["helped"]
    assert found["helped"].startswith("Yes. Its last verdict is canary: passed, gain +0.1000 [+0.0500, +0.1500]")
    before, beside, after = found["before_after"]
    assert before["loss"] == pytest.approx(0.7, abs=0.01)
    assert beside["loss"] == pytest.approx(0.5, abs=0.01)
    assert after["residual"] == pytest.approx(0.0, abs=0.01)
    assert "training requested: drift" in found["did"][0]
    assert "PROMOTED r-c" in found["did"][-2]


def test_an_alarm_whose_release_was_refused_says_so_and_who_answers() -> None:
    life = LifecycleEvents()
    life.window(0, "r-a")
    request = life.request(1, "c", life.alarm(1, "r-a", blocks=1))
    life.rejected(2, "c", life.verdict(1, "c", life.trained(1, "c", request)))
    found = of(life)
    assert found["state"] == "rejected"
    assert found["helped"] == "No: r-c was rejected in shadow: no gain. r-a still answers."


def test_a_run_that_failed_did_not_help() -> None:
    life = LifecycleEvents()
    life.window(0, "r-a")
    life.failed(2, "c", life.request(1, "c", life.alarm(1, "r-a", blocks=1)))
    assert of(life)["helped"] == "No: the run failed: data. r-a still answers."


def test_an_answer_under_way_is_not_known_yet() -> None:
    life = LifecycleEvents()
    life.window(0, "r-a")
    life.trained(1, "c", life.request(1, "c", life.alarm(1, "r-a", blocks=1)))
    found = of(life)
    assert found["state"] == "under way"
    assert found["helped"].startswith("Not known yet")


def test_a_kept_alarm_waits_and_a_dropped_one_is_past() -> None:
    life = LifecycleEvents()
    life.window(0, "r-a")
    alarm = life.alarm(1, "r-a", blocks=1)
    life.coalesced(1, alarm)
    assert of(life)["state"] == "waits for a request"
    life.coalesced(2, alarm, because="superseded")
    assert of(life)["state"] == "superseded"


def test_an_alarm_with_no_known_window_does_not_say_since_when() -> None:
    life = LifecycleEvents()
    life.alarm(1, "r-a")
    assert of(life)["since"] is None

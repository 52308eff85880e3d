from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.drift.detectors import (
    EPISODE_ENDS_BELOW,
    SILENT_WINDOWS,
    Alarm,
    ChampionWindow,
    DetectorRule,
    DetectorState,
    DetectorStep,
    apply_window,
)
from driftloop.drift.statistics import CERTAIN, Block, blocks_needed, read_statistic
from driftloop.process.errors import ConfigError
from services.monitoring.detectors.state import from_text, to_text

DAY = 86_400_000
RESIDUAL = DetectorRule("calibration", "block_residual", "trigger", 4.0, blocks=4, min_rows=10)
LOSS = DetectorRule("loss", "block_loss", "watch", 3.0, blocks=3, min_rows=10)
PSI = DetectorRule("shift", "psi", "watch", 0.25, min_rows=100)


def window(
    day: int, residual: float = 0.0, *, loss: float = 0.5, rows: int = 100, champion: str = "r-1", psi: float = 0.0
) -> ChampionWindow:
    return ChampionWindow(
        evidence_id=f"e-{day}",
        window_id=f"w-{day}",
        end_ms=(day + 1) * DAY,
        champion=champion,
        joined=rows,
        loss=loss * rows,
        residual=residual * rows,
        psi={"x": psi, "score": psi / 2},
        psi_rows={"x": rows, "score": rows},
    )


def run(rule: DetectorRule, windows: list[ChampionWindow]) -> tuple[DetectorState, list[DetectorStep]]:
    state, steps = DetectorState(), []
    for event in windows:
        steps.append(apply_window(rule, state, event))
        state = steps[-1].state
    return state, steps


def alarms(rule: DetectorRule, windows: list[ChampionWindow]) -> list[Alarm]:
    return [step.alarm for step in run(rule, windows)[1] if step.alarm is not None]


def noisy(day: int, shift: float = 0.0) -> float:
    return shift + (0.01 if day % 2 else -0.01)


def blocks(residuals: list[float], losses: list[float] | None = None) -> list[Block]:
    mean_losses = losses or [0.0] * len(residuals)
    return [Block(f"e-{number}", 100, value, mean_losses[number], {}) for number, value in enumerate(residuals)]


def test_the_residual_statistic_is_the_t_of_the_block_means() -> None:
    reading = read_statistic("block_residual", blocks([0.1, 0.2, 0.3, 0.4]), 4)
    assert reading is not None
    assert reading.statistic == pytest.approx(0.25 / (math.sqrt(0.05 / 3) / 2))
    assert reading.evidence_ids == ("e-0", "e-1", "e-2", "e-3")
    assert reading.explanation == "mean of score - outcome over 4 blocks is +0.2500, 3.87 standard errors from 0"


def test_only_the_newest_blocks_are_in_the_statistic() -> None:
    reading = read_statistic("block_residual", blocks([9.0, 0.1, 0.2, 0.3, 0.4]), 4)
    assert reading is not None
    assert reading.statistic == pytest.approx(0.25 / (math.sqrt(0.05 / 3) / 2))


def test_too_few_blocks_give_no_statistic() -> None:
    assert read_statistic("block_residual", blocks([0.1, 0.2, 0.3]), 4) is None
    assert read_statistic("block_residual", blocks([0.1]), 1) is None
    assert read_statistic("block_loss", blocks([0.0] * 5), 3) is None
    assert read_statistic("psi", [], 1) is None


def test_the_loss_statistic_is_one_sided_welchs_t_of_newest_against_first() -> None:
    before, after = [0.5, 0.6, 0.4], [0.9, 1.0, 0.8]
    reading = read_statistic("block_loss", blocks([0.0] * 6, before + after), 3)
    assert reading is not None
    assert reading.statistic == pytest.approx(0.4 / math.sqrt(2 * 0.01 / 3))
    better = read_statistic("block_loss", blocks([0.0] * 6, after + before), 3)
    assert better is not None
    assert better.statistic < 0


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0.0), (0.25, CERTAIN)])
def test_blocks_that_do_not_vary_are_certain(value: float, expected: float) -> None:
    reading = read_statistic("block_residual", blocks([value] * 4), 4)
    assert reading is not None
    assert reading.statistic == expected


def test_a_calibrated_champion_raises_no_alarm() -> None:
    assert alarms(RESIDUAL, [window(day, noisy(day)) for day in range(60)]) == []


def test_an_episode_raises_one_alarm_with_its_evidence() -> None:
    (alarm,) = alarms(RESIDUAL, [window(day, noisy(day, 0.2 if day >= 10 else 0.0)) for day in range(40)])
    assert alarm.release == "r-1"
    assert alarm.reading.statistic > RESIDUAL.threshold
    assert alarm.reading.evidence_ids[-1] == alarm.episode.replace("w", "e")
    assert len(alarm.reading.evidence_ids) == 4


def test_a_statistic_that_moves_around_the_threshold_is_one_episode() -> None:
    values = [0.30, 0.24, 0.26, 0.21, 0.27]
    assert len(alarms(PSI, [window(day, psi=value) for day, value in enumerate(values)])) == 1


def test_an_episode_ends_below_the_lower_threshold_and_the_next_has_another_name() -> None:
    values = [0.30, EPISODE_ENDS_BELOW * 0.25 - 0.01, 0.30]
    raised = alarms(PSI, [window(day, psi=value) for day, value in enumerate(values)])
    assert [alarm.episode for alarm in raised] == ["w-0", "w-2"]


def test_a_new_champion_starts_without_blocks_and_episode() -> None:
    drifted = [window(day, noisy(day, 0.2)) for day in range(6)]
    state, _ = run(RESIDUAL, [*drifted, window(6, 0.2, champion="r-2")])
    assert (state.release, state.episode, len(state.blocks)) == ("r-2", "", 1)
    later = [window(day, noisy(day, 0.2), champion="r-2") for day in range(6, 12)]
    assert [alarm.release for alarm in alarms(RESIDUAL, [*drifted, *later])] == ["r-1", "r-2"]


def test_windows_with_too_few_rows_are_left_out() -> None:
    windows = [window(day, noisy(day, 0.2), rows=100 if day % 2 else 9) for day in range(6)]
    state, _ = run(RESIDUAL, windows)
    assert [block.evidence_id for block in state.blocks] == ["e-1", "e-3", "e-5"]
    assert alarms(PSI, [window(0, psi=9.0, rows=99)]) == []


def test_a_window_without_predictions_changes_only_its_end() -> None:
    state, _ = run(RESIDUAL, [window(0, 0.1), window(1, champion="", rows=0)])
    assert (state.release, len(state.blocks), state.end_ms) == ("r-1", 1, 2 * DAY)


def test_psi_of_a_named_input_and_the_largest_of_all() -> None:
    named = DetectorRule("score", "psi", "watch", 0.2, on="score", min_rows=1)
    assert alarms(named, [window(0, psi=0.3)]) == []
    (alarm,) = alarms(named, [window(0, psi=0.5)])
    assert alarm.reading.explanation == "stability index of score over 1 blocks is 0.250"
    (alarm,) = alarms(PSI, [window(0, psi=0.3)])
    assert "of x" in alarm.reading.explanation


@given(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=30), st.data())
def test_a_repeated_window_changes_nothing(residuals: list[float], data: st.DataObject) -> None:
    windows = [window(day, value) for day, value in enumerate(residuals)]
    state, _ = run(RESIDUAL, windows)
    again = data.draw(st.sampled_from(windows))
    repeated = apply_window(RESIDUAL, state, again)
    assert repeated == DetectorStep(state)


@pytest.mark.parametrize("rule", [RESIDUAL, LOSS, PSI, replace(PSI, blocks=3)])
def test_the_state_stays_small_and_keeps_what_a_statistic_needs(rule: DetectorRule) -> None:
    windows = [window(day, noisy(day, day * 0.01), loss=0.5 + day * 0.01, psi=day * 0.01) for day in range(30)]
    state, steps = run(rule, windows)
    assert len(state.blocks) <= blocks_needed(rule.kind, rule.blocks)
    everything = [run(rule, [event])[0].blocks[0] for event in windows]
    assert steps[-1].reading == read_statistic(rule.kind, everything, rule.blocks)


@given(st.lists(st.floats(-1, 1), max_size=12))
def test_the_state_is_equal_after_writing_and_reading(residuals: list[float]) -> None:
    for rule in (RESIDUAL, PSI):
        state, _ = run(rule, [window(day, value, psi=abs(value)) for day, value in enumerate(residuals)])
        assert from_text(to_text(state)) == state


@pytest.mark.parametrize("rule", [LOSS, PSI, replace(PSI, name="calibration", on="score")])
def test_a_detector_that_measures_something_else_now_begins_again(rule: DetectorRule) -> None:
    windows = [window(day, noisy(day, 0.3)) for day in range(10)]
    state, _ = run(RESIDUAL, windows)
    assert state.episode
    step = apply_window(rule, state, window(10))
    assert (step.state.episode, step.alarm, len(step.state.blocks)) == ("", None, 1)
    assert apply_window(rule, step.state, window(10)) == DetectorStep(step.state)


def test_a_state_of_an_older_version_is_continued() -> None:
    state, _ = run(RESIDUAL, [window(day, noisy(day)) for day in range(3)])
    data = json.loads(to_text(state))
    del data["measures"]
    assert len(apply_window(RESIDUAL, from_text(json.dumps(data)), window(3)).state.blocks) == 4


@pytest.mark.parametrize("changes", [{"threshold": 9.0}, {"blocks": 2}, {"mode": "watch"}, {"min_rows": 1}])
def test_a_detector_with_other_limits_continues(changes: dict[str, Any]) -> None:
    state, _ = run(RESIDUAL, [window(day, noisy(day)) for day in range(4)])
    step = apply_window(replace(RESIDUAL, **changes), state, window(4))
    assert step.reading is not None


def test_no_table_entry_is_the_initial_state() -> None:
    assert from_text(None) == DetectorState()


def test_a_state_has_a_format_and_another_format_is_refused() -> None:
    data = json.loads(to_text(DetectorState(end_ms=5)))
    assert data.pop("format") == 1
    assert from_text(json.dumps(data)) == DetectorState(end_ms=5)  # the first version did not write it
    with pytest.raises(ConfigError, match="a detector's state has format 2, and this driftloop reads 1"):
        from_text(json.dumps({**data, "format": 2}))


@pytest.mark.parametrize("rule", [RESIDUAL, LOSS, PSI, replace(PSI, on="x"), replace(PSI, on="unknown", min_rows=1)])
def test_windows_that_a_detector_cannot_judge_are_counted_until_one_that_it_can(rule: DetectorRule) -> None:
    few = [window(day, rows=min(rule.min_rows - 1, 48)) for day in range(SILENT_WINDOWS)]
    state, steps = run(rule, few)
    assert [step.state.silent for step in steps] == [False] * (SILENT_WINDOWS - 1) + [True]
    assert steps[-1].rows == (0 if rule.on == "unknown" else few[0].joined)
    again = apply_window(rule, state, window(SILENT_WINDOWS, rows=100)).state
    assert again.skipped == (SILENT_WINDOWS + 1 if rule.on == "unknown" else 0)


def test_a_detector_that_waits_for_its_first_blocks_is_not_silent() -> None:
    rule = replace(RESIDUAL, blocks=30)
    state, steps = run(rule, [window(day) for day in range(20)])
    assert not any(step.reading for step in steps)
    assert state.skipped == 0


def test_windows_without_a_champion_do_not_count_and_a_new_champion_continues_the_count() -> None:
    rule = replace(PSI, min_rows=1000)
    windows = [window(0), window(1, champion=""), window(2, champion="r-2"), window(3, champion="r-2")]
    assert run(rule, windows)[0].skipped == 3


def test_the_state_of_an_earlier_version_has_skipped_no_window() -> None:
    data = json.loads(to_text(DetectorState(DAY, "r-1", skipped=7)))
    assert from_text(json.dumps(data)).skipped == 7
    del data["skipped"]
    assert from_text(json.dumps(data)) == DetectorState(DAY, "r-1")


def test_blocks_without_a_common_input_give_no_reading() -> None:
    blocks = [Block(f"e-{name}", 100, 0.0, 0.5, {name: 0.9}) for name in "ab"]
    assert read_statistic("psi", blocks, 2) is None

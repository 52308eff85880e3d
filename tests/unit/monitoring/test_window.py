from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftloop.model.losses import MEAN_FLOOR, PROBABILITY_FLOOR, losses
from driftloop.model.slices import slice_text
from services.monitoring.domain.monitor import LoopMonitor, WindowRules
from services.monitoring.domain.psi import Categories, Grid, categorical_histogram, counts_on, histogram, psi
from services.monitoring.domain.rows import Prediction, ReleaseScore
from services.monitoring.domain.window import SliceRule, Window
from services.training.domain.reference import histogram as training_histogram
from tests.unit.monitoring.rows import DAY, HOUR, outcome, prediction, reference

COLOURS = (SliceRule("colour", "colour", 2),)
REFERENCES = {"r-1": reference("r-1"), "r-2": reference("r-2")}


def monitor(slices: tuple[SliceRule, ...] = COLOURS) -> LoopMonitor:
    return LoopMonitor(
        WindowRules("orders", "binary", DAY, 36 * HOUR, slices), outcome_partitions=2, prediction_partitions=2
    )


def reach(state: LoopMonitor, hour: float) -> None:
    for partition in (0, 1):
        state.outcome_watermarks.advance(partition, round(hour * HOUR))
        state.prediction_watermarks.advance(partition, round(hour * HOUR))


def closed(state: LoopMonitor) -> list[Window]:
    windows = []
    while state.due() is not None:
        windows.append(state.close(REFERENCES).window)
    return windows


def one_day(*rows: object) -> Window:
    state = monitor()
    reach(state, 0)
    for row in rows:
        if hasattr(row, "decision_ms"):
            state.join.add_predictions([row])  # type: ignore[list-item]
        else:
            state.join.add_outcomes([row])  # type: ignore[list-item]
    reach(state, 24)
    (window,) = closed(state)
    return window


def test_a_window_closes_when_all_four_partitions_have_reached_its_end() -> None:
    state = monitor()
    reach(state, 3)
    state.outcome_watermarks.advance(0, DAY)
    state.outcome_watermarks.advance(1, DAY)
    state.prediction_watermarks.advance(0, DAY)
    assert state.due() is None
    state.prediction_watermarks.advance(1, DAY - 1)
    assert state.due() is None
    state.prediction_watermarks.advance(1, DAY)
    assert state.due() == (0, DAY)


def test_no_window_closes_before_every_partition_has_a_watermark() -> None:
    state = monitor()
    for hour in (1, 500):
        state.outcome_watermarks.advance(0, hour * HOUR)
        state.prediction_watermarks.advance(0, hour * HOUR)
        state.prediction_watermarks.advance(1, hour * HOUR)
    assert state.due() is None
    with pytest.raises(ValueError, match="no window is due"):
        state.close({})


def test_the_first_window_contains_the_first_watermark() -> None:
    state = monitor()
    reach(state, 49)
    reach(state, 97)
    assert [(window.start_ms, window.end_ms) for window in closed(state)] == [(2 * DAY, 3 * DAY), (3 * DAY, 4 * DAY)]


def test_a_first_watermark_on_a_boundary_begins_the_window_that_starts_there() -> None:
    state = monitor()
    reach(state, 48)
    assert state.due() is None
    reach(state, 72)
    assert [window.start_ms for window in closed(state)] == [2 * DAY]


def test_windows_without_predictions_close_without_a_champion() -> None:
    state = monitor()
    reach(state, 1)
    reach(state, 72)
    windows = closed(state)
    assert len(windows) == 3
    assert {window.champion for window in windows} == {""}
    assert all(not window.releases and not window.histograms for window in windows)


def test_sums_of_a_release_are_those_of_its_joined_predictions() -> None:
    window = one_day(prediction("a", 1, 0.8), prediction("b", 2, 0.4), outcome("a", 5, 1.0), outcome("b", 6, 0.0))
    (sums,) = window.releases
    assert (sums.release_id, sums.role, sums.count, sums.answered) == ("r-1", "champion", 2, 2)
    assert sums.loss == pytest.approx(-math.log(0.8) - math.log(0.6))
    assert sums.residual == pytest.approx(-0.2 + 0.4)
    assert sums.residual_square == pytest.approx(0.04 + 0.16)
    assert (sums.score, sums.outcome) == pytest.approx((1.2, 1.0))
    assert window.champion == "r-1"
    assert window.predictions == 2


def test_a_missing_outcome_is_in_no_sum() -> None:
    window = one_day(prediction("a", 1, 0.8), prediction("b", 2, 0.4), outcome("a", 5, 1.0))
    (sums,) = window.releases
    assert (sums.count, sums.outcome, sums.answered) == (1, 1.0, 2)


def test_paired_losses_are_over_rows_that_both_scored() -> None:
    window = one_day(
        prediction("a", 1, 0.8, challenger=("r-2", 0.9)),
        prediction("b", 2, 0.4),
        outcome("a", 5, 1.0),
        outcome("b", 6, 0.0),
    )
    paired = window.paired[0]
    assert (paired.champion, paired.challenger, paired.slice, paired.count) == ("r-1", "r-2", "", 1)
    assert paired.champion_loss == pytest.approx(-math.log(0.8))
    assert paired.challenger_loss == pytest.approx(-math.log(0.9))


def test_both_releases_score_whichever_answered() -> None:
    window = one_day(prediction("a", 1, 0.8, challenger=("r-2", 0.9), answered_by="r-2"), outcome("a", 5))
    assert [(sums.release_id, sums.count, sums.answered) for sums in window.releases] == [("r-1", 1, 0), ("r-2", 1, 1)]
    assert window.paired[0].count == 1


def test_slices_keep_their_most_frequent_values() -> None:
    colours = ["red"] * 3 + ["blue"] * 2 + ["grey"]
    rows = [prediction(f"k{at}", 1, 0.5, challenger=("r-2", 0.6), colour=colour) for at, colour in enumerate(colours)]
    window = one_day(*rows, *(outcome(f"k{at}", 5) for at in range(6)))
    assert [(paired.slice, paired.count) for paired in window.paired] == [
        ("", 6),
        ("colour=blue", 2),
        ("colour=red", 3),
    ]


def test_a_slice_has_the_quality_of_the_champion_without_a_challenger() -> None:
    rows = [prediction("a", 1, 0.8), prediction("b", 2, 0.4), prediction("c", 3, 0.9, colour="blue")]
    window = one_day(*rows, outcome("a", 5, 1.0), outcome("b", 6, 0.0), outcome("c", 6, 1.0))
    everything, blue, red = window.slices
    assert [(sums.release_id, sums.slice, sums.count) for sums in (everything, blue, red)] == [
        ("r-1", "", 3), ("r-1", "colour=blue", 1), ("r-1", "colour=red", 2),
    ]  # fmt: skip
    assert everything.loss == pytest.approx(blue.loss + red.loss)
    assert red.loss == pytest.approx(-math.log(0.8) - math.log(0.6))
    assert (red.score, red.outcome) == pytest.approx((1.2, 1.0))
    assert window.paired == ()


def test_a_slice_of_the_champion_includes_rows_that_the_challenger_answered() -> None:
    row = replace(prediction("a", 1, 0.8, challenger=("r-2", 0.9), answered_by="r-2"), sliced={"sex": "f"})
    state = monitor((SliceRule("sex", "sex", 5),))
    reach(state, 0)
    state.join.add_predictions([row])
    state.join.add_outcomes([outcome("a", 5)])
    reach(state, 24)
    (window,) = closed(state)
    assert [(sums.release_id, sums.slice, sums.count, sums.score) for sums in window.slices] == [
        ("r-1", "", 1, 0.8), ("r-1", "sex=f", 1, 0.8),
    ]  # fmt: skip
    assert [paired.slice for paired in window.paired] == ["", "sex=f"]


@pytest.mark.parametrize(
    ("value", "text"), [("red", "red"), (3, "3"), (3.0, "3"), (1234567.0, "1234567"), (0.25, "0.25"), (math.nan, "nan")]
)
def test_a_whole_number_names_its_slice_with_all_digits(value: str | float, text: str) -> None:
    assert slice_text(value) == text


def test_a_route_change_within_a_window_changes_the_champion() -> None:
    window = one_day(
        prediction("a", 1, 0.8, challenger=("r-2", 0.9)),
        prediction("b", 9, 0.8, champion="r-2"),
        outcome("a", 5),
        outcome("b", 12),
    )
    assert window.champion == "r-2"
    roles = {sums.release_id: sums.role for sums in window.releases}
    assert roles == {"r-1": "champion", "r-2": "champion"}


def test_histograms_are_of_the_predictions_decided_in_the_window() -> None:
    state = monitor()
    reach(state, 0)
    state.join.add_predictions([prediction("a", 1, 0.7, x=-3.0), prediction("b", 2, 0.2, x=math.nan)])
    state.join.add_predictions([prediction("c", 30, x=5.0)])
    reach(state, 48)
    first, second = closed(state)
    assert {histogram.name: (histogram.counts, histogram.missing) for histogram in first.histograms} == {
        "x": ((1, 0, 0), 1),
        "score": ((1, 1), 0),
    }
    assert {histogram.name: histogram.counts for histogram in second.histograms} == {"x": (0, 0, 1), "score": (0, 1)}


def test_inputs_logged_in_another_order_have_no_histogram() -> None:
    state = monitor()
    reach(state, 0)
    state.join.add_predictions([replace(prediction("a", 1), input_digest="another")])
    reach(state, 24)
    (window,) = closed(state)
    assert [histogram.name for histogram in window.histograms] == ["score"]


def test_edges_belong_to_the_bin_above_and_nan_to_none() -> None:
    grid = Grid(np.array([0.0, 1.0]), np.array([1, 1, 1]), 0)
    counts, missing = counts_on(grid, np.array([-math.inf, -0.1, 0.0, 0.5, 1.0, math.inf, math.nan]))
    assert counts.tolist() == [2, 2, 2]
    assert missing == 1


@given(st.lists(st.integers(0, 50), min_size=2, max_size=12), st.integers(1, 20))
def test_the_index_of_equal_shares_is_zero_and_it_is_never_negative(counts: list[int], factor: int) -> None:
    reference_counts = np.array(counts)
    assert psi(reference_counts, reference_counts * factor) == pytest.approx(0.0, abs=1e-12)
    assert psi(reference_counts, np.array(counts[::-1])) >= 0.0


def test_the_index_agrees_with_a_hand_computation() -> None:
    index = psi(np.array([20, 60, 20]), np.array([30, 40, 30]))
    assert index == pytest.approx(2 * 0.1 * math.log(1.5) + 0.2 * math.log(1.5))


def test_missing_values_move_the_index() -> None:
    grid = Grid(np.array([0.0]), np.array([50, 50]), 0)
    assert histogram("r", "x", grid, np.array([-1.0, 1.0])).psi == pytest.approx(0.0)
    assert histogram("r", "x", grid, np.array([-1.0, 1.0, math.nan, math.nan])).psi > 1.0


def test_losses_of_certain_wrong_scores_are_bounded() -> None:
    assert losses("binary", np.array([0.0]), np.array([1.0]))[0] == pytest.approx(-math.log(PROBABILITY_FLOOR))
    assert losses("regression", np.array([2.0]), np.array([5.0]))[0] == 9.0
    assert losses("count", np.array([3.0]), np.array([3.0]))[0] == pytest.approx(0.0)
    assert losses("count", np.array([2.0]), np.array([0.0]))[0] == pytest.approx(4.0)
    assert losses("count", np.array([0.0]), np.array([1.0]))[0] == pytest.approx(
        2 * (math.log(1 / MEAN_FLOOR) - 1 + MEAN_FLOOR)
    )


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_any_interleaving_of_the_partitions_gives_the_same_windows(seed: int) -> None:
    """Within a partition rows and watermarks keep their order; between partitions any order is possible."""
    chance = random.Random(7)
    streams: dict[str, list[tuple[str, object]]] = {f"{kind}{part}": [] for kind in "po" for part in (0, 1)}
    for hour in range(0, 96, 4):
        for at in range(3):
            key = f"{hour}-{at}"
            part, x = at % 2, chance.gauss(0, 2)
            score, challenger = chance.random(), ("r-2", chance.random())
            streams[f"p{part}"].append(("row", prediction(key, hour + 1, score, challenger=challenger, x=x)))
            if hour < 84:
                streams[f"o{part}"].append(("row", outcome(key, hour + 1 + chance.randrange(9), float(at == 0))))
        for name, rows in streams.items():
            rows.append(("watermark", (int(name[1]), max(hour - 8 * (name[0] == "o"), 0) * HOUR)))
    expected = _fed(streams, random.Random(0))
    assert len(expected) == 3
    assert sum(window.joins.joined for window in expected) > 30
    assert _fed(streams, random.Random(seed)) == expected


def _fed(streams: dict[str, list[tuple[str, object]]], chance: random.Random) -> list[Window]:
    state, windows = monitor(), []
    left = {name: list(rows) for name, rows in streams.items()}
    while left:
        name = chance.choice(sorted(left))
        for _ in range(min(chance.randint(1, 9), len(left[name]))):
            _feed(state, name, *left[name].pop(0))
        if not left[name]:
            del left[name]
        windows += closed(state)
    return windows


def _feed(state: LoopMonitor, name: str, kind: str, item: object) -> None:
    if kind == "watermark":
        marks = state.outcome_watermarks if name[0] == "o" else state.prediction_watermarks
        marks.advance(*item)  # type: ignore[misc]
    elif name[0] == "p":
        state.join.add_predictions([item])  # type: ignore[list-item]
    else:
        state.join.add_outcomes([item])  # type: ignore[list-item]


@pytest.mark.parametrize("block", [HOUR, 6 * HOUR, 36 * HOUR, 7 * DAY])
def test_windows_end_at_whole_blocks_after_the_length_of_a_block_changed(block: int) -> None:
    def monitor(block_ms: int) -> LoopMonitor:
        rules = WindowRules("orders", "binary", block_ms, 36 * HOUR)
        return LoopMonitor(rules, outcome_partitions=2, prediction_partitions=2)

    before = monitor(DAY)
    reach(before, 0)
    reach(before, 5 * 24)
    assert [window.end_ms for window in closed(before)] == [day * DAY for day in range(1, 6)]
    after = monitor(block)
    after.closed_ms = before.closed_ms
    reach(after, 30 * 24)
    ends = [window.end_ms for window in closed(after)]
    assert ends == [at * block for at in range(5 * DAY // block + 1, 30 * DAY // block + 1)]


def of_classes(key: str, champion: tuple[float, ...], challenger: tuple[float, ...] | None = None) -> Prediction:
    scores = [ReleaseScore("r-1", "champion", max(champion), champion)]
    if challenger is not None:
        scores.append(ReleaseScore("r-2", "challenger", max(challenger), challenger))
    return replace(prediction(key, 1), scores=tuple(scores))


def test_a_window_of_classes_without_outcomes_has_empty_sums() -> None:
    state = LoopMonitor(
        WindowRules("orders", "multiclass", DAY, 36 * HOUR, (), 3), outcome_partitions=2, prediction_partitions=2
    )
    reach(state, 0)
    state.join.add_predictions([of_classes("a", (0.2, 0.2, 0.6))])
    reach(state, 24)
    [sums] = closed(state)[0].releases
    assert (sums.count, sums.loss, sums.answered) == (0, 0.0, 1)


def test_the_sums_of_classes_are_confidence_correctness_and_log_loss() -> None:
    certain, unsure = (0.9, 0.05, 0.05), (0.3, 0.5, 0.2)
    rules = WindowRules("orders", "multiclass", DAY, 36 * HOUR, (), 3)
    state = LoopMonitor(rules, outcome_partitions=2, prediction_partitions=2)
    reach(state, 0)
    state.join.add_predictions(
        [of_classes("a", certain, unsure), of_classes("b", unsure, certain), of_classes("c", certain)]
    )
    state.join.add_outcomes([outcome("a", 2, 0.0), outcome("b", 2, 2.0)])
    reach(state, 24)
    (window,) = closed(state)
    champion = {row.release_id: row for row in window.releases}["r-1"]
    assert champion.count == 2
    assert champion.loss == pytest.approx(-math.log(0.9) - math.log(0.2))
    assert (champion.score, champion.outcome) == pytest.approx((1.4, 1.0))
    assert champion.residual == pytest.approx(0.4)
    assert champion.residual_square == pytest.approx(0.1**2 + 0.5**2)
    [pair] = window.paired
    assert pair.champion_loss == pytest.approx(champion.loss)
    assert pair.challenger_loss == pytest.approx(-math.log(0.3) - math.log(0.05))
    scores = {row.release_id: row.counts for row in window.histograms if row.name == "score"}
    assert scores == {"r-1": (0, 3), "r-2": (0, 2)}


def test_a_feed_that_comes_alive_moves_the_index() -> None:
    bins = training_histogram(np.zeros(500))
    grid = Grid(np.array(bins.edges), np.array(bins.counts), bins.missing)
    assert histogram("r", "x", grid, np.zeros(100)).psi == 0.0
    assert histogram("r", "x", grid, np.linspace(0.1, 9, 100)).psi > 10
    assert histogram("r", "x", grid, np.concatenate([np.zeros(80), np.linspace(0.1, 9, 20)])).psi > 0.25


def test_a_rare_value_that_becomes_common_moves_the_index() -> None:
    bins = training_histogram(np.array([0.0] * 950 + [1.0] * 50))
    grid = Grid(np.array(bins.edges), np.array(bins.counts), bins.missing)
    assert histogram("r", "x", grid, np.array([0.0] * 50 + [1.0] * 50)).psi > 1.0


COLOURS_SEEN = Categories(("blue", "red"), np.array([60, 40, 0]), 0)


def test_the_index_of_text_is_that_of_its_shares() -> None:
    same = categorical_histogram("r", "colour", COLOURS_SEEN, ["blue", "blue", "blue", "red", "red"])
    assert (same.counts, same.missing, same.psi) == ((3, 2, 0), 0, 0.0)
    turned = categorical_histogram("r", "colour", COLOURS_SEEN, ["blue", "blue", "red", "red", "red"])
    assert turned.psi == pytest.approx(0.2 * math.log(0.6 / 0.4) * 2)


@pytest.mark.parametrize("value", ["green", ""])
def test_unseen_and_missing_text_moves_the_index(value: str) -> None:
    found = categorical_histogram("r", "colour", COLOURS_SEEN, [value] * 10)
    assert (found.counts[-1], found.missing) == ((10, 0) if value else (0, 10))
    assert found.psi > 10


def test_a_window_has_a_histogram_of_each_categorical_input_with_a_reference() -> None:
    known = {"r-1": replace(REFERENCES["r-1"], categories={"colour": COLOURS_SEEN})}
    state = monitor()
    reach(state, 0)
    state.join.add_predictions([prediction("a", 1, colour="red"), prediction("b", 2, colour="green")])
    reach(state, 24)
    window = state.close(known).window
    assert [(row.name, row.counts) for row in window.histograms if row.name == "colour"] == [("colour", (0, 1, 1))]
    assert [row.name for row in one_day(prediction("a", 1)).histograms] == ["x", "score"]

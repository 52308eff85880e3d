from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitoring.domain.join import REMEMBERED_HORIZONS, Correction, JoinCounts, JoinResult, OutcomeJoin
from services.monitoring.domain.rows import OutcomeRow, Prediction
from tests.unit.monitoring.rows import DAY, HOUR, outcome, prediction

HORIZON_H = 36


def fresh(corrections_h: int = HORIZON_H) -> OutcomeJoin:
    return OutcomeJoin(HORIZON_H * HOUR, corrections_ms=corrections_h * HOUR, block_ms=DAY)


def join(predictions: Sequence[Prediction] = (), outcomes: Sequence[OutcomeRow] = ()) -> OutcomeJoin:
    state = fresh()
    state.add_predictions(predictions)
    state.add_outcomes(outcomes)
    return state


def close_days(rows: OutcomeJoin, days: int) -> list[JoinResult]:
    closed = []
    for day in range(1, days + 1):
        closed.append(rows.close(day * DAY))
        rows.forget(day * DAY)
    return closed


def total(closed: Sequence[JoinResult]) -> JoinCounts:
    sums = [sum(getattr(result.counts, name) for result in closed) for name in JoinCounts.__slots__]
    return JoinCounts(*sums)


def test_an_outcome_in_time_is_joined_in_the_window_of_its_event_time() -> None:
    first, second = close_days(join([prediction("a", 20)], [outcome("a", 26)]), 2)
    assert first.counts == JoinCounts()
    assert second.counts == JoinCounts(joined=1)
    assert second.pairs[0].outcome.value == 1.0


def test_an_outcome_on_the_horizon_is_in_time() -> None:
    assert total(close_days(join([prediction("a", 1)], [outcome("a", 1 + HORIZON_H)]), 4)) == JoinCounts(joined=1)


def test_an_outcome_after_its_horizon_is_late_and_its_prediction_missing() -> None:
    rows = join([prediction("a", 1)], [outcome("a", 1.001 + HORIZON_H)])
    assert total(close_days(rows, 4)) == JoinCounts(late=1, missing=1)


def test_an_outcome_long_after_its_horizon_is_late_not_unpredicted() -> None:
    rows = join([prediction("a", 1)], [outcome("a", 90)])
    assert total(close_days(rows, 5)) == JoinCounts(late=1, missing=1)


def test_a_prediction_without_outcome_is_missing_only_after_its_horizon() -> None:
    closed = close_days(join([prediction("a", 12.5)]), 4)
    assert [result.counts.missing for result in closed] == [0, 0, 1, 0]
    assert all(not result.pairs for result in closed)


@pytest.mark.parametrize("seen_h", [30, 100])
def test_a_prediction_for_a_past_time_does_not_join_an_outcome_that_was_known(seen_h: float) -> None:
    """Whether both become visible in the same window or in different ones."""
    rows = join([prediction("a", 1, visible=seen_h)], [outcome("a", 26)])
    closed = close_days(rows, 6)
    assert total(closed) == JoinCounts(backdated=1, unpredicted=int(seen_h == 100))
    assert [name for result in closed for name in result.settled] == ["p-a"]
    assert all(not result.pairs for result in closed)


def test_a_prediction_for_a_past_time_joins_an_outcome_that_came_after_it() -> None:
    assert total(close_days(join([prediction("a", 1, visible=20)], [outcome("a", 26)]), 3)) == JoinCounts(joined=1)
    assert total(close_days(join([prediction("a", 1, visible=26)], [outcome("a", 26)]), 3)) == JoinCounts(joined=1)


def test_a_prediction_for_a_time_before_its_horizon_is_backdated_and_not_missing() -> None:
    rows = join([prediction("a", 1, visible=2 + HORIZON_H)])
    assert total(close_days(rows, 4)) == JoinCounts(backdated=1)


def test_an_outcome_without_a_prediction_is_unpredicted() -> None:
    assert total(close_days(join([], [outcome("a", 5)]), 3)) == JoinCounts(unpredicted=1)


def test_a_prediction_decided_after_its_outcome_is_not_joined_to_it() -> None:
    rows = join([prediction("a", 6)], [outcome("a", 5)])
    assert total(close_days(rows, 3)) == JoinCounts(unpredicted=1, missing=1)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("hours", [(4.9, 8), (4.9, 30), (4.9, 4.95, 8)])
def test_an_outcome_from_before_the_decision_leaves_the_place_to_the_real_one(
    hours: tuple[float, ...], value: float
) -> None:
    outcomes = [outcome("a", hour, 0.0) for hour in hours[:-1]] + [outcome("a", hours[-1], value)]
    closed = close_days(join([prediction("a", 5)], outcomes), 4)
    counts = total(closed)
    assert (counts.joined, counts.missing, counts.unpredicted) == (1, 0, 1)
    [pair] = [pair for result in closed for pair in result.pairs]
    assert (pair.outcome.event_ms, pair.outcome.value) == (round(hours[-1] * HOUR), value)
    kept = {name for result in closed for name in result.kept}
    assert kept - {name for result in closed for name in result.dropped} == {outcomes[-1].row_id}


def test_the_real_outcome_can_be_corrected() -> None:
    outcomes = [outcome("a", 4, 0.0), outcome("a", 8, 0.0), outcome("a", 9, 1.0)]
    closed = close_days(join([prediction("a", 5)], outcomes), 3)
    assert total(closed) == JoinCounts(joined=1, unpredicted=1, corrected=1)
    assert [pair.outcome.value for result in closed for pair in result.pairs] == [1.0]


def test_a_late_real_outcome_takes_the_place_too() -> None:
    rows = join([prediction("a", 5)], [outcome("a", 4), outcome("a", 5.001 + HORIZON_H)])
    assert total(close_days(rows, 4)) == JoinCounts(unpredicted=1, late=1, missing=1)


def test_a_repeated_value_is_a_duplicate_and_another_value_is_a_correction() -> None:
    outcomes = [outcome("a", 5, 1.0), outcome("a", 6, 1.0), outcome("a", 7, 0.0), outcome("a", 30, 1.0)]
    closed = close_days(join([prediction("a", 1)], outcomes), 2)
    assert total(closed) == JoinCounts(joined=1, duplicate=1, corrected=2)
    assert [pair.outcome.event_ms for pair in closed[0].pairs] == [5 * HOUR]


def test_a_correction_before_the_window_closes_replaces_the_value_and_keeps_the_time() -> None:
    early, late = outcome("a", 5, 1.0), outcome("a", 7, 0.0)
    for order in ([early, late], [late, early]):
        closed = join([prediction("a", 1)], order).close(DAY)
        assert [pair.outcome for pair in closed.pairs] == [replace(early, value=0.0)]
        assert (closed.counts, closed.corrections) == (JoinCounts(joined=1, corrected=1), [])
        assert (closed.kept, list(closed.revalued.values())) == ([early.row_id], [replace(early, value=0.0)])


def test_a_correction_of_a_closed_window_has_both_values() -> None:
    rows = join([prediction("a", 1)], [outcome("a", 5, 1.0), outcome("a", 30, 0.0), outcome("b", 31)])
    first, second = close_days(rows, 2)
    assert first.pairs[0].outcome.value == 1.0
    assert second.corrections == [Correction(outcome("a", 5, 0.0, name="o-a-5-1.0"), 1.0)]
    assert second.counts == JoinCounts(corrected=1, unpredicted=1)


def test_a_value_that_is_corrected_back_before_the_next_close_changes_nothing() -> None:
    rows = join([prediction("a", 1)], [outcome("a", 5, 1.0), outcome("a", 30, 0.0), outcome("a", 31, 1.0)])
    _, second = close_days(rows, 2)
    assert (second.counts, second.corrections) == (JoinCounts(corrected=2), [])


def test_a_value_is_compared_with_the_current_one_not_with_the_first() -> None:
    values = (1.0, 0.0, 0.0, 1.0)
    rows = join([prediction("a", 1)], [outcome("a", 5 + at, value) for at, value in enumerate(values)])
    assert rows.close(DAY).counts == JoinCounts(joined=1, corrected=2, duplicate=1)


@pytest.mark.parametrize(("hour", "overdue"), [(5 + HORIZON_H - 0.001, 0), (5 + HORIZON_H, 1)])
def test_a_correction_is_applied_until_its_span_after_the_first_outcome_ends(hour: float, overdue: int) -> None:
    rows = join([prediction("a", 1)], [outcome("a", 5, 1.0), outcome("a", hour, 0.0)])
    closed = close_days(rows, 3)
    assert total(closed) == JoinCounts(joined=1, corrected=1, overdue=overdue)
    assert sum(len(result.corrections) for result in closed) == 1 - overdue


def test_without_a_span_no_correction_is_applied() -> None:
    rows = fresh(corrections_h=0)
    rows.add_predictions([prediction("a", 1)])
    rows.add_outcomes([outcome("a", 5, 1.0, name="first"), outcome("a", 5, 0.0, name="second")])
    closed = rows.close(DAY)
    assert (closed.counts, closed.pairs[0].outcome.value) == (JoinCounts(joined=1, corrected=1, overdue=1), 1.0)


def test_a_correction_keeps_the_time_so_a_late_outcome_stays_late() -> None:
    rows = join([prediction("a", 1)], [outcome("a", 1.1 + HORIZON_H, 1.0), outcome("a", 2 + HORIZON_H, 0.0)])
    assert total(close_days(rows, 4)) == JoinCounts(late=1, missing=1, corrected=1)


def test_keys_are_remembered_as_long_as_corrections_are_allowed() -> None:
    span_h = 10 * HORIZON_H
    rows = fresh(span_h)
    rows.add_predictions([prediction("a", 1)])
    rows.add_outcomes([outcome("a", 5, 1.0), outcome("a", 4.9 + span_h, 0.0)])
    assert total(close_days(rows, 17)) == JoinCounts(joined=1, corrected=1)


def test_an_outcome_behind_the_watermark_is_in_the_window_in_which_it_became_visible() -> None:
    rows = join([prediction("a", 1)], [outcome("a", 5, visible=30)])
    first, second = close_days(rows, 2)
    assert (first.counts, second.counts) == (JoinCounts(), JoinCounts(joined=1))


def test_an_outcome_visible_after_the_horizon_is_late_at_any_event_time() -> None:
    rows = join([prediction("a", 1)], [outcome("a", 5, visible=60)])
    assert total(close_days(rows, 4)) == JoinCounts(late=1, missing=1)


def test_each_prediction_of_a_key_is_joined_to_its_outcome() -> None:
    rows = join([prediction("a", 1, name="p1"), prediction("a", 2, name="p2")], [outcome("a", 5)])
    closed = rows.close(DAY)
    assert [pair.prediction.prediction_id for pair in closed.pairs] == ["p1", "p2"]


def test_a_later_record_of_a_known_prediction_id_is_ignored() -> None:
    rows = join([prediction("a", 1, 0.3)])
    assert rows.add_predictions([prediction("a", 1, 0.9), prediction("b", 1)])[0].key == "b"
    assert len(rows.close(DAY).predictions) == 2


def test_a_prediction_id_is_known_after_it_was_joined() -> None:
    rows = join([prediction("a", 1)], [outcome("a", 5)])
    close_days(rows, 2)
    assert rows.add_predictions([prediction("a", 1)]) == []


def test_old_keys_are_forgotten() -> None:
    rows = join([prediction("a", 1)], [outcome("a", 5)])
    days = math.ceil((5 + REMEMBERED_HORIZONS * HORIZON_H) / 24) + 1
    close_days(rows, days)
    rows.add_outcomes([outcome("a", days * 24 + 1, 0.0)])
    assert rows.close((days + 1) * DAY).counts == JoinCounts(unpredicted=1)


def test_the_predictions_of_a_window_are_in_order_of_decision_time_and_id() -> None:
    rows = join([prediction("c", 2), prediction("b", 1), prediction("a", 2), prediction("d", 25)])
    assert [row.key for row in rows.close(DAY).predictions] == ["b", "a", "c"]


KEYS = st.sampled_from(["a", "b", "c", "d"])
HOURS = st.integers(0, 95)
PREDICTIONS = st.lists(st.tuples(KEYS, HOURS), max_size=12)
OUTCOMES = st.lists(st.tuples(KEYS, HOURS, st.sampled_from([0.0, 1.0])), max_size=12)


@given(predictions=PREDICTIONS, outcomes=OUTCOMES)
def test_every_prediction_ends_joined_or_missing_and_every_outcome_is_counted_once(
    predictions: list[tuple[str, int]], outcomes: list[tuple[str, int, float]]
) -> None:
    predicted = [prediction(key, hour, name=f"p{at}") for at, (key, hour) in enumerate(predictions)]
    observed = [outcome(key, hour, value, name=f"o{at}") for at, (key, hour, value) in enumerate(outcomes)]
    closed = close_days(join(predicted, observed), 8)
    counts = total(closed)
    assert counts.joined + counts.missing == len(predicted)
    assert sorted(name for result in closed for name in result.settled) == sorted(
        row.prediction_id for row in predicted
    )
    kept, dropped = ([name for result in closed for name in getattr(result, part)] for part in ("kept", "dropped"))
    assert {*kept, *dropped} == {row.row_id for row in observed}
    assert len(set(dropped)) == len(dropped)
    assert len(set(kept)) == len(kept)
    answering = {pair.outcome.row_id for result in closed for pair in result.pairs}
    assert len(answering) + counts.late + counts.unpredicted + counts.duplicate + counts.corrected == len(observed)


@given(predictions=PREDICTIONS, outcomes=OUTCOMES, restart=st.integers(1, 5))
def test_a_join_restored_from_its_rows_equals_an_uninterrupted_one(
    predictions: list[tuple[str, int]], outcomes: list[tuple[str, int, float]], restart: int
) -> None:
    predicted = {f"p{at}": prediction(key, hour, name=f"p{at}") for at, (key, hour) in enumerate(predictions)}
    observed = [outcome(key, hour, value, name=f"o{at}") for at, (key, hour, value) in enumerate(outcomes)]
    uninterrupted = join(list(predicted.values()), observed)
    before = close_days(uninterrupted, restart)
    settled = {name for result in before for name in result.settled}
    kept, dropped = ({row for result in before for row in getattr(result, name)} for name in ("kept", "dropped"))
    now = {row.row_id: row.value for result in before for row in result.revalued.values()}
    restored = fresh()
    for name, row in predicted.items():
        if name in settled:
            restored.restore_settled(name, row.key, row.decision_ms, row.visible_ms)
        elif row.visible_ms < restart * DAY:
            restored.restore_open(row)
        else:
            restored.add_predictions([row])
    for observation in observed:
        if observation.row_id in kept and observation.row_id not in dropped:
            value = now.get(observation.row_id, observation.value)
            restored.restore_outcome(replace(observation, value=value))
        elif observation.row_id not in dropped:
            restored.add_outcomes([observation])
    for day in range(restart + 1, 9):
        assert restored.close(day * DAY) == uninterrupted.close(day * DAY)


@pytest.mark.parametrize("end_h", [24, 48])
def test_the_releases_of_a_window_are_those_that_scored_its_rows(end_h: int) -> None:
    rows = join([prediction("a", 1), prediction("b", 30, champion="r-2")])
    assert rows.releases_before(end_h * HOUR) == ({"r-1"} if end_h == 24 else {"r-1", "r-2"})


@given(predictions=PREDICTIONS, outcomes=OUTCOMES)
def test_after_all_corrections_every_pair_has_the_last_value_of_its_key(
    predictions: list[tuple[str, int]], outcomes: list[tuple[str, int, float]]
) -> None:
    predicted = [prediction(key, hour, name=f"p{at}") for at, (key, hour) in enumerate(predictions)]
    observed = sorted(
        (outcome(key, hour, value, name=f"o{at}") for at, (key, hour, value) in enumerate(outcomes)),
        key=lambda row: row.order,
    )
    value_of: dict[str, float] = {}
    first: dict[str, OutcomeRow] = {}
    decided = {
        key: min(row.decision_ms for row in predicted if row.key == key) for key in {row.key for row in predicted}
    }
    for row in observed:
        if row.key not in first or first[row.key].event_ms < decided.get(row.key, 0) <= row.event_ms:
            first[row.key] = row
        if row.visible_ms < first[row.key].visible_ms + HORIZON_H * HOUR:
            value_of[row.key] = row.value
    joined: dict[str, tuple[str, float]] = {}
    for closed in close_days(join(predicted, observed), 8):
        for correction in closed.corrections:
            for name, (key, value) in joined.items():
                if key == correction.outcome.key:
                    assert value == correction.was
                    joined[name] = (key, correction.outcome.value)
        joined |= {pair.prediction.prediction_id: (pair.prediction.key, pair.outcome.value) for pair in closed.pairs}
    assert all(value == value_of[key] for key, value in joined.values())

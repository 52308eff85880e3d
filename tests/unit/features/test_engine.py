from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.features.domain.engine import Advance, Engine
from services.features.domain.events import Arrived
from services.features.domain.views import Aggregate, ViewSpec
from tests.unit.features.rows import BY_SHOP, HOUR, NEWEST, PAIRS, SHOPS, SPECS, Row, Sale, batch, expected, windowed

STEP = HOUR // 2


@st.composite
def streams(draw: st.DrawFn) -> list[list[Sale]]:
    """Steps of sales; a sale of step i arrives at watermark i * STEP, some of them late, some ahead."""
    steps, offset = [], 0
    for step in range(draw(st.integers(1, 14))):
        sales = []
        for _ in range(draw(st.integers(0, 6))):
            time = max(0, step * STEP + draw(st.integers(-6 * HOUR, 2 * STEP)))
            amount = draw(st.none() | st.floats(-1e6, 1e6).map(lambda value: round(value, 2)))
            colour = draw(st.sampled_from([None, "red", "blue"]))
            shop, town = draw(st.sampled_from(["a", "b", "ü"])), draw(st.integers(0, 1))
            sales.append(Sale(shop, town, time, step * STEP, amount, offset, colour))
            offset += 1
        steps.append(sales)
    return steps


def run(steps: Sequence[Sequence[Sale]]) -> list[Advance]:
    engine = Engine(SPECS)
    advances = []
    for number, sales in enumerate(steps, 1):
        for feed in (SHOPS, PAIRS):
            engine.add(feed, Arrived(batch(sales)))
        advances.append(engine.advance(number * STEP))
    return advances


def rows_of(advance: Advance, spec: ViewSpec) -> dict[Row, Row]:
    rows: dict[Row, Row] = {}
    for view in advance.views:
        if view.spec is spec:
            for at, key in enumerate(view.keys):
                rows[key] = tuple(_plain(column[at]) for column in view.columns)
    return rows


def _plain(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


@settings(deadline=None, max_examples=40)
@given(streams())
def test_rows_follow_the_definition_with_late_events(steps: list[list[Sale]]) -> None:
    sales = [sale for step in steps for sale in step]
    online: dict[str, dict[Row, Row]] = {spec.view: {} for spec in SPECS}
    for advance in run(steps):
        for spec in SPECS:
            online[spec.view].update(rows_of(advance, spec))
            want = expected(spec, sales, advance.watermark_ms)
            for key, row in want.items():
                assert online[spec.view].get(key, _zeros(spec)) == row


def _zeros(spec: ViewSpec) -> Row:
    """An entity whose first event came too late for any window has no row."""
    return tuple(0.0 for _ in spec.aggregates)


@settings(deadline=None, max_examples=40)
@given(streams())
def test_only_rows_whose_windows_changed_are_written(steps: list[list[Sale]]) -> None:
    sales = [sale for step in steps for sale in step]
    for number, advance in enumerate(run(steps), 1):
        before, now = (number - 1) * STEP, number * STEP
        for spec in (BY_SHOP,):
            changed = {
                sale.key(spec.feed)
                for sale in sales
                for window in spec.windows_ms
                if _inside(sale, before, window) != _inside(sale, now, window)
            }
            assert set(rows_of(advance, spec)) == changed


def _inside(sale: Sale, watermark: int, window: int) -> bool:
    return sale.visible(watermark) and sale.time >= watermark - window


@settings(deadline=None, max_examples=40)
@given(streams(), st.randoms(use_true_random=False))
def test_the_order_of_delivery_within_a_step_changes_nothing(steps: list[list[Sale]], random: object) -> None:
    shuffled = [list(step) for step in steps]
    for step in shuffled:
        random.shuffle(step)  # type: ignore[attr-defined]
    for straight, mixed in zip(run(steps), run(shuffled), strict=True):
        for spec in SPECS:
            assert rows_of(straight, spec) == rows_of(mixed, spec)


def test_a_row_is_written_again_when_its_last_event_leaves_the_window() -> None:
    engine = Engine([windowed("v", SHOPS, HOUR)])
    engine.add(SHOPS, Arrived(batch([Sale("a", 1, 10, 0, 5.0)])))
    assert rows_of(engine.advance(11), engine.specs[0]) == {("a",): (1.0, 5.0)}
    assert engine.advance(HOUR + 10).rows == 0
    assert rows_of(engine.advance(HOUR + 11), engine.specs[0]) == {("a",): (0.0, 0.0)}
    assert engine.advance(HOUR + 12).rows == 0


def test_an_event_at_the_watermark_is_not_visible_yet() -> None:
    engine = Engine([windowed("v", SHOPS, HOUR)])
    engine.add(SHOPS, Arrived(batch([Sale("a", 1, 10, 0, 5.0)])))
    assert engine.advance(10).rows == 0
    assert engine.advance(11).rows == 1


def test_a_late_event_counts_once_from_its_arrival_watermark_on() -> None:
    engine = Engine(SPECS)
    late = batch([Sale("a", 1, 0, HOUR, 5.0)])
    engine.add(SHOPS, Arrived(late))
    engine.add(PAIRS, Arrived(late))
    assert engine.advance(HOUR).rows == 0
    advance = engine.advance(HOUR + 1)
    assert advance.late_events == 1
    assert rows_of(advance, BY_SHOP) == {("a",): (0.0, 0.0, 1.0, 5.0)}


def test_sums_of_decimals_do_not_drift_over_many_events() -> None:
    engine = Engine([windowed("v", SHOPS, HOUR)])
    random = np.random.default_rng(7)
    for minute in range(3000):
        amount = float(random.uniform(0, 1e9)) if minute < 2000 else 0.1
        engine.add(SHOPS, Arrived(batch([Sale("a", 1, minute * 60_000, 0, amount, minute)])))
        advance = engine.advance(minute * 60_000 + 1)
    assert rows_of(advance, engine.specs[0]) == {("a",): (60.0, sum([0.1] * 60))}


def test_nulls_and_nans_are_neither_counted_nor_added() -> None:
    engine = Engine([windowed("v", SHOPS, HOUR)])
    engine.add(
        SHOPS, Arrived(batch([Sale("a", 1, 1, 0, None), Sale("a", 1, 2, 0, math.nan, 1), Sale("a", 1, 3, 0, 2.0, 2)]))
    )
    assert rows_of(engine.advance(9), engine.specs[0]) == {("a",): (1.0, 2.0)}


def test_an_infinite_value_or_sum_is_missing_and_leaves_no_trace() -> None:
    engine = Engine([windowed("v", SHOPS, HOUR)])
    sales = [Sale("a", 1, 1, 0, 1e308), Sale("a", 1, 2, 0, 1e308, 1), Sale("b", 1, 3, 0, math.inf, 2)]
    engine.add(SHOPS, Arrived(batch(sales)))
    assert rows_of(engine.advance(9), engine.specs[0]) == {("a",): (2.0, None), ("b",): (0.0, 0.0)}
    engine.add(SHOPS, Arrived(batch([Sale("a", 1, 2 * HOUR, 0, 3.0, 3)])))
    assert rows_of(engine.advance(2 * HOUR + 1), engine.specs[0])["a",] == (1.0, 3.0)


def test_the_newest_infinite_value_is_missing() -> None:
    engine = Engine([NEWEST])
    engine.add(NEWEST.feed, Arrived(batch([Sale("a", 1, 1, 0, -math.inf, 0, "red")])))
    [row] = rows_of(engine.advance(9), NEWEST).values()
    assert math.inf not in row
    assert -math.inf not in row


def test_a_column_of_strings_can_be_counted() -> None:
    spec = ViewSpec("v", SHOPS, ("string",), (Aggregate("count_colour_3600s", "count", "colour", HOUR),))
    engine = Engine([spec])
    engine.add(SHOPS, Arrived(batch([Sale("a", 1, 1, 0, 1.0, 0, "red"), Sale("a", 1, 2, 0, 1.0, 1)])))
    assert rows_of(engine.advance(9), spec) == {("a",): (1.0,)}


def test_of_two_events_at_one_time_the_later_in_the_raw_topic_is_the_newest() -> None:
    engine = Engine([NEWEST])
    engine.add(SHOPS, Arrived(batch([Sale("a", 1, 5, 0, 2.0, 9, "blue"), Sale("a", 1, 5, 0, 1.0, 3, "red")])))
    assert rows_of(engine.advance(9), NEWEST) == {("a",): (2.0, "blue")}


def test_the_watermark_does_not_move_back() -> None:
    engine = Engine(SPECS)
    engine.advance(5)
    with pytest.raises(ValueError, match="watermark 5 after 5"):
        engine.advance(5)


def test_entities_without_events_are_forgotten_and_come_back() -> None:
    engine = Engine([windowed("v", SHOPS, HOUR)])
    engine.add(SHOPS, Arrived(batch(Sale(f"s{number}", 1, number, 0, 1.0, number) for number in range(100))))
    engine.advance(200)
    engine.advance(3 * HOUR)
    engine.add(SHOPS, Arrived(batch([Sale("s7", 1, 3 * HOUR, 0, 1.0, 100), Sale("s9", 1, 4 * HOUR, 0, 1.0, 101)])))
    state = engine.feeds[SHOPS]
    state.forget_unused()
    assert state.keys == [("s7",), ("s9",)]
    assert rows_of(engine.advance(3 * HOUR + 1), engine.specs[0]) == {("s7",): (1.0, 1.0)}
    engine.add(SHOPS, Arrived(batch([Sale("s3", 1, 4 * HOUR, 0, 2.0, 102)])))
    assert rows_of(engine.advance(4 * HOUR + 1), engine.specs[0])[("s3",)] == (1.0, 2.0)

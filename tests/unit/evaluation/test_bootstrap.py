from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.evaluation.domain.bootstrap import BlockSums, Resampling, by_block, interval

HOW = Resampling(level=0.95, resamples=4000, seed=7)


def blocks_of(random: np.random.Generator, count: int, gain: float = 0.05) -> BlockSums:
    rows = random.integers(1, 400, size=count)
    champion = rows * random.normal(0.5, 0.05, size=count)
    return BlockSums(champion, champion - rows * random.normal(gain, 0.08, size=count), rows)


def brute_force(blocks: BlockSums, how: Resampling, subject: str) -> tuple[float, float]:
    """One draw at a time, block by block, from the same stream of chance."""
    random = np.random.default_rng([how.seed, uuid.uuid5(uuid.NAMESPACE_OID, subject).int])
    count, draws = len(blocks), []
    for _ in range(how.resamples):
        gain = rows = 0.0
        for block, times in enumerate(random.multinomial(count, [1.0 / count] * count)):
            for _ in range(times):
                gain += blocks.champion_loss[block] - blocks.challenger_loss[block]
                rows += blocks.rows[block]
        draws.append(gain / rows)
    ordered = sorted(draws)
    return _quantile(ordered, 0.025), _quantile(ordered, 0.975)


def _quantile(ordered: list[float], level: float) -> float:
    place = level * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


@pytest.mark.parametrize("count", [2, 5, 14])
def test_equals_a_loop_over_the_same_draws(count: int) -> None:
    how = Resampling(level=0.95, resamples=300, seed=3)
    blocks = blocks_of(np.random.default_rng(count), count)
    found = interval(blocks, how, "verdict")
    assert found is not None
    assert (found.lower, found.upper) == pytest.approx(brute_force(blocks, how, "verdict"), rel=1e-9)


def test_agrees_with_resampling_by_index_of_another_generator() -> None:
    blocks = blocks_of(np.random.default_rng(1), 12)
    found = interval(blocks, Resampling(0.95, 40_000, 0), "verdict")
    chosen = np.random.default_rng(99).integers(12, size=(40_000, 12))
    gains = (blocks.champion_loss - blocks.challenger_loss)[chosen].sum(axis=1) / blocks.rows[chosen].sum(axis=1)
    assert found is not None
    width = found.upper - found.lower
    assert abs(found.lower - np.quantile(gains, 0.025)) < 0.03 * width
    assert abs(found.upper - np.quantile(gains, 0.975)) < 0.03 * width


@pytest.mark.parametrize(("count", "trials"), [(10, 800), (30, 600)])
def test_covers_the_truth_as_often_as_theory_says(count: int, trials: int) -> None:
    """For equal blocks with normal means the percentile interval is z * s * sqrt((n - 1) / n) wide on each side."""
    from scipy import stats  # a second and a half that only this test needs

    random = np.random.default_rng(count)
    expected = 2 * stats.t.cdf(stats.norm.ppf(0.975) * np.sqrt((count - 1) / count), count - 1) - 1
    rows = np.full(count, 50)
    hits = 0
    for trial in range(trials):
        gain = random.normal(0.02, 0.1, size=count) * rows
        found = interval(BlockSums(gain, np.zeros(count), rows), Resampling(0.95, 400, 0), str(trial))
        assert found is not None
        hits += found.lower <= 0.02 <= found.upper
    spread = np.sqrt(expected * (1 - expected) / trials)
    assert abs(hits / trials - expected) < 4 * spread + 0.005


def test_rows_that_depend_on_their_block_do_not_narrow_the_interval() -> None:
    random = np.random.default_rng(5)
    effect = random.normal(0.0, 0.1, size=10)
    few = BlockSums(effect * 10, np.zeros(10), np.full(10, 10))
    many = BlockSums(effect * 10_000, np.zeros(10), np.full(10, 10_000))
    first, second = interval(few, HOW, "verdict"), interval(many, HOW, "verdict")
    assert first is not None
    assert second is not None
    assert (first.lower, first.upper) == pytest.approx((second.lower, second.upper))


def test_one_block_has_no_interval() -> None:
    assert interval(blocks_of(np.random.default_rng(0), 1), HOW, "verdict") is None


def test_the_same_subject_gives_the_same_interval_and_another_another() -> None:
    blocks = blocks_of(np.random.default_rng(2), 9)
    assert interval(blocks, HOW, "verdict") == interval(blocks, HOW, "verdict")
    assert interval(blocks, HOW, "verdict") != interval(blocks, HOW, "other")


def test_many_blocks_are_drawn_in_parts_and_come_near_the_normal_interval() -> None:
    blocks = blocks_of(np.random.default_rng(4), 3000)
    found = interval(blocks, HOW, "verdict")
    assert found is not None
    residual = blocks.champion_loss - blocks.challenger_loss - found.estimate * blocks.rows
    half = 1.96 * np.sqrt((residual**2).sum()) / blocks.rows.sum()
    assert (found.upper - found.estimate) == pytest.approx(half, rel=0.08)
    assert (found.estimate - found.lower) == pytest.approx(half, rel=0.08)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.integers(0, 50), st.floats(0, 1e3), st.floats(0, 1e3)), min_size=0, max_size=40
    )
)
def test_sums_by_block_keep_every_row_in_any_order(entries: list[tuple[int, int, float, float]]) -> None:
    columns = [np.array([entry[place] for entry in entries]) for place in range(4)]
    found = by_block(columns[0].astype(np.int64), columns[2], columns[3], columns[1].astype(np.int64))
    backward = [column[::-1] for column in columns]
    again = by_block(backward[0].astype(np.int64), backward[2], backward[3], backward[1].astype(np.int64))
    assert int(found.rows.sum()) == sum(entry[1] for entry in entries)
    assert (found.rows > 0).all()
    assert found.rows.tolist() == again.rows.tolist()
    assert found.champion_loss == pytest.approx(again.champion_loss)

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.evaluation.domain.bootstrap import BlockSums, Resampling, bootstrap_interval, sum_by_block

HOW = Resampling(level=0.95, resamples=4000, seed=7)


def blocks_of(random: np.random.Generator, count: int, gain: float = 0.05) -> BlockSums:
    rows = random.integers(1, 400, size=count)
    champion = rows * random.normal(0.5, 0.05, size=count)
    return BlockSums(champion, champion - rows * random.normal(gain, 0.08, size=count), rows)


def brute_force(blocks: BlockSums, how: Resampling, subject: str) -> tuple[float, float]:
    """Resample one draw and one block at a time with the same random numbers."""
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
    position = level * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


@pytest.mark.parametrize("count", [2, 5, 14])
def test_the_interval_equals_a_loop_over_the_same_draws(count: int) -> None:
    how = Resampling(level=0.95, resamples=300, seed=3)
    blocks = blocks_of(np.random.default_rng(count), count)
    gain_interval = bootstrap_interval(blocks, how, "verdict")
    assert gain_interval is not None
    assert (gain_interval.lower, gain_interval.upper) == pytest.approx(brute_force(blocks, how, "verdict"), rel=1e-9)


def test_the_interval_agrees_with_resampling_by_index() -> None:
    blocks = blocks_of(np.random.default_rng(1), 12)
    gain_interval = bootstrap_interval(blocks, Resampling(0.95, 40_000, 0), "verdict")
    chosen = np.random.default_rng(99).integers(12, size=(40_000, 12))
    gains = (blocks.champion_loss - blocks.challenger_loss)[chosen].sum(axis=1) / blocks.rows[chosen].sum(axis=1)
    assert gain_interval is not None
    width = gain_interval.upper - gain_interval.lower
    assert abs(gain_interval.lower - np.quantile(gains, 0.025)) < 0.03 * width
    assert abs(gain_interval.upper - np.quantile(gains, 0.975)) < 0.03 * width


@pytest.mark.parametrize(("count", "trials"), [(10, 800), (30, 600)])
def test_the_interval_covers_the_truth_as_often_as_expected(count: int, trials: int) -> None:
    """With equal blocks and normal means, the interval extends z * s * sqrt((n - 1) / n) to each side."""
    from scipy import stats  # importing scipy takes 1.5 s, and only this test needs it

    random = np.random.default_rng(count)
    expected = 2 * stats.t.cdf(stats.norm.ppf(0.975) * np.sqrt((count - 1) / count), count - 1) - 1
    rows = np.full(count, 50)
    hits = 0
    for trial in range(trials):
        gain = random.normal(0.02, 0.1, size=count) * rows
        gain_interval = bootstrap_interval(BlockSums(gain, np.zeros(count), rows), Resampling(0.95, 400, 0), str(trial))
        assert gain_interval is not None
        hits += gain_interval.lower <= 0.02 <= gain_interval.upper
    spread = np.sqrt(expected * (1 - expected) / trials)
    assert abs(hits / trials - expected) < 4 * spread + 0.005


def test_rows_that_depend_on_their_block_do_not_narrow_the_interval() -> None:
    random = np.random.default_rng(5)
    effect = random.normal(0.0, 0.1, size=10)
    few = BlockSums(effect * 10, np.zeros(10), np.full(10, 10))
    many = BlockSums(effect * 10_000, np.zeros(10), np.full(10, 10_000))
    first, second = bootstrap_interval(few, HOW, "verdict"), bootstrap_interval(many, HOW, "verdict")
    assert first is not None
    assert second is not None
    assert (first.lower, first.upper) == pytest.approx((second.lower, second.upper))


def test_one_block_has_no_interval() -> None:
    assert bootstrap_interval(blocks_of(np.random.default_rng(0), 1), HOW, "verdict") is None


def test_the_subject_determines_the_interval() -> None:
    blocks = blocks_of(np.random.default_rng(2), 9)
    assert bootstrap_interval(blocks, HOW, "verdict") == bootstrap_interval(blocks, HOW, "verdict")
    assert bootstrap_interval(blocks, HOW, "verdict") != bootstrap_interval(blocks, HOW, "other")


def test_many_blocks_are_drawn_in_parts_and_agree_with_the_normal_interval() -> None:
    blocks = blocks_of(np.random.default_rng(4), 3000)
    gain_interval = bootstrap_interval(blocks, HOW, "verdict")
    assert gain_interval is not None
    residual = blocks.champion_loss - blocks.challenger_loss - gain_interval.estimate * blocks.rows
    half = 1.96 * np.sqrt((residual**2).sum()) / blocks.rows.sum()
    assert (gain_interval.upper - gain_interval.estimate) == pytest.approx(half, rel=0.08)
    assert (gain_interval.estimate - gain_interval.lower) == pytest.approx(half, rel=0.08)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.integers(0, 50), st.floats(0, 1e3), st.floats(0, 1e3)), min_size=0, max_size=40
    )
)
def test_sums_by_block_do_not_depend_on_the_order_of_rows(entries: list[tuple[int, int, float, float]]) -> None:
    columns = [np.array([entry[column] for entry in entries]) for column in range(4)]
    sums = sum_by_block(columns[0].astype(np.int64), columns[2], columns[3], columns[1].astype(np.int64))
    backward = [column[::-1] for column in columns]
    reversed_sums = sum_by_block(backward[0].astype(np.int64), backward[2], backward[3], backward[1].astype(np.int64))
    assert int(sums.rows.sum()) == sum(entry[1] for entry in entries)
    assert (sums.rows > 0).all()
    assert sums.rows.tolist() == reversed_sums.rows.tolist()
    assert sums.champion_loss == pytest.approx(reversed_sums.champion_loss)

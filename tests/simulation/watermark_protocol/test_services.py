"""The services follow the protocol: no order of steps lets them close a window early, and all windows close."""

from __future__ import annotations

import random

import pytest

from driftloop.events.prediction_writers import PartitionWriters
from services.serving.domain.writers import Phase, Writer
from tests.simulation.watermark_protocol.model import Bounds, Broken
from tests.simulation.watermark_protocol.services import Run

BOUNDS = Bounds(writers=3, windows=2, answers=3, deaths=2, gifts=2)
RUNS = 300


def search() -> None:
    """Take many orders of steps.

    Raises:
        Broken: a window can be closed early, or an agent answers in a closed one.
        AssertionError: the services do another thing than the protocol, or windows stay open.
    """
    for seed in range(RUNS):
        Run(BOUNDS, random.Random(seed)).go(steps=80)


def test_no_order_of_steps_lets_the_services_close_a_window_early_or_never() -> None:
    search()


def test_the_steps_reach_all_that_can_happen() -> None:
    seen: set[str] = set()
    for seed in range(RUNS):
        run = Run(BOUNDS, random.Random(seed))
        run.go(steps=80)
        seen |= {label.partition(" ")[2].partition(" ")[2].partition(" in ")[0] for label in run.labels}
    assert seen >= {
        "starts", "returns", "joins", "opens", "sees", "answers", "marks", "dies", "begins to leave", "leaves",
        "is drained", "is given up", "is given up here", "starts again",
    }  # fmt: skip


def _open_by_the_greatest(writers: PartitionWriters) -> int | None:
    return max((known.watermark_ms for known in writers.open.values() if known.watermark_ms is not None), default=None)


def _without_those_that_joined_only(writers: PartitionWriters) -> int | None:
    return min((known.watermark_ms for known in writers.open.values() if known.watermark_ms is not None), default=None)


@pytest.mark.parametrize("rule", [_open_by_the_greatest, _without_those_that_joined_only])
def test_another_watermark_of_a_partition_is_found(rule: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PartitionWriters, "watermark_ms", property(rule))  # type: ignore[arg-type]
    with pytest.raises(Broken):
        search()


def test_a_start_that_does_not_join_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PartitionWriters, "join", lambda *_: None)
    with pytest.raises((Broken, AssertionError)):
        search()


def test_a_start_that_does_not_write_the_newest_watermark_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def start_again(writer: Writer, start: int) -> None:
        writer.start, writer.phase = start, Phase.JOINING

    monkeypatch.setattr(Writer, "start_again", start_again)
    with pytest.raises(AssertionError):
        search()

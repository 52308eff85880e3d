from __future__ import annotations

import pytest
from google.protobuf.message import Message

from driftloop.contracts import predictions_pb2 as predictions
from driftloop.events.prediction_writers import PredictionWatermarks
from services.monitoring.domain.overdue import OverdueWriters


def mark(writer: str, watermark_ms: int, start: int = 1) -> Message:
    return predictions.PredictionWatermark(loop="orders", writer=writer, start=start, watermark_ms=watermark_ms)


@pytest.fixture
def watermarks() -> PredictionWatermarks:
    state = PredictionWatermarks(1)
    for message in (mark("a", 10), mark("b", 5)):
        state.apply(0, message)
    return state


def test_a_writer_waits_while_another_one_is_ahead(watermarks: PredictionWatermarks) -> None:
    overdue = OverdueWriters()
    assert [overdue.look(watermarks, second) for second in (100.0, 101.0, 103.0)] == [
        {"b": 0.0},
        {"b": 1.0},
        {"b": 3.0},
    ]
    watermarks.apply(0, mark("b", 10))
    assert overdue.look(watermarks, 104.0) == {}


@pytest.mark.parametrize("sign", [mark("b", 6), predictions.WriterJoined(loop="orders", writer="b", start=2)])
def test_a_record_of_the_writer_begins_the_wait_again(watermarks: PredictionWatermarks, sign: Message) -> None:
    overdue = OverdueWriters()
    for second in (1.0, 2.0, 3.0):
        overdue.look(watermarks, second)
    watermarks.apply(0, sign)
    assert overdue.look(watermarks, 4.0) == {"b": 0.0}


def test_time_in_which_monitoring_was_paused_does_not_count(watermarks: PredictionWatermarks) -> None:
    """Its records may have piled up meanwhile, and the next batch has only some of them."""
    overdue = OverdueWriters()
    overdue.look(watermarks, 0.0)
    assert overdue.look(watermarks, 3600.0) == {"b": 5.0}


def test_a_writer_without_a_watermark_is_behind_one_that_has_one(watermarks: PredictionWatermarks) -> None:
    watermarks.apply(0, mark("b", 10))
    watermarks.apply(0, predictions.WriterJoined(loop="orders", writer="c", start=1))
    assert OverdueWriters().look(watermarks, 0.0) == {"c": 0.0}


def test_a_writer_alone_is_never_behind() -> None:
    state = PredictionWatermarks(2)
    state.apply(0, mark("a", 10))
    assert OverdueWriters().look(state, 0.0) == {}

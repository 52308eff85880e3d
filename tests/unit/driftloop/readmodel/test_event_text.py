from __future__ import annotations

import pytest
from google.protobuf.message import Message

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import training_pb2 as training
from driftloop.readmodel.event_text import describe, describe_data
from tests.helpers.event_log import DAY_MS, EventLog

MODEL = control.ImportedModel(source="models:/returns/3")
REASON = training.Reason(kind="import", event_id="e")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (
            control.Import(loop="orders", who="anna", why="it serves well", model=MODEL),
            "anna says import models:/returns/3: it serves well",
        ),
        (
            training.RetrainRequested(reasons=[REASON], window_start_ms=0, window_end_ms=DAY_MS, model=MODEL),
            "import of models:/returns/3: to be judged on data 1970-01-01 00:00 to 1970-01-02 00:00",
        ),
        (
            training.CandidateTrained(
                run_id="run-1",
                reasons=[REASON],
                duration_s=3.0,
                metrics={"rows": 1200, "loss": 0.5, "base_loss": 0.7},
            ),
            "run run-1 packed the imported model in 3.0 s, tried on 1,200 rows; "
            "validation loss 0.5000, with the training base rate 0.7000",
        ),
        (
            training.ReasonCoalesced(loop="orders", reason=training.Reason(kind="drift"), because="no-trainer"),
            "nothing is trained for drift: orders has no trainer; bring a model with "
            "`driftloop import orders --onnx FILE --why ...`",
        ),
    ],
)
def test_an_import_and_the_want_of_a_trainer_are_told(data: Message, line: str) -> None:
    assert describe_data(data) == line


def sums(loss: float, count: int = 4) -> list[monitoring.ReleaseWindow]:
    champion = monitoring.ReleaseWindow(release_id="r-1", role="champion", count=count, loss_sum=loss)
    return [monitoring.ReleaseWindow(release_id="r-2", role="challenger", count=count, loss_sum=9.0), champion]


@pytest.mark.parametrize(
    ("corrections", "count", "line"),
    [
        (1, 4, "1 outcome corrected; the champion's loss is 0.7500, not 0.5000"),
        (1200, 4, "1,200 outcomes corrected; the champion's loss is 0.7500, not 0.5000"),
        (1, 0, "1 outcome corrected"),
    ],
)
def test_a_window_that_was_restated_is_news(corrections: int, count: int, line: str) -> None:
    data = monitoring.WindowRestated(
        window_id="w1", start_ms=DAY_MS, end_ms=2 * DAY_MS, corrections=corrections,
        before=sums(2.0, count), after=sums(3.0, count),
    )  # fmt: skip
    assert describe_data(data) == f"RESTATED the window of 1970-01-02 00:00: {line}"
    event = EventLog(day=3).add("restated", data, "window 3")
    assert describe(event) == f"1970-01-04 00:00  RESTATED the window of 1970-01-02 00:00: {line}"

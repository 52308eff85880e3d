from __future__ import annotations

import pytest
from google.protobuf.message import Message

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import training_pb2 as training
from driftloop.readmodel.story import tell_data

DAY_MS = 86_400_000
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
            "validation loss 0.5000, base rate 0.7000",
        ),
        (
            training.ReasonCoalesced(loop="orders", reason=training.Reason(kind="drift"), because="no-trainer"),
            "nothing is trained for drift: orders has no trainer; bring a model with "
            "`driftloop import orders --onnx FILE --why ...`",
        ),
    ],
)
def test_an_import_and_the_want_of_a_trainer_are_told(data: Message, line: str) -> None:
    assert tell_data(data) == line

from __future__ import annotations

from dataclasses import replace

import pytest

from driftloop.readmodel.advice import next_step, notes
from driftloop.readmodel.loops import KeptReason, LoopState, SilentDetector, Waiting

QUIET = LoopState("orders", champion="r-1", epoch=3, converged_epoch=3)
DRIFT = KeptReason("drift", "loss: 5 above 4", "release-open", 86_400_000, "alarm")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (LoopState("orders"), "the first champion is trained"),
        (QUIET, "nothing to do: watched"),
        (LoopState("orders", untrained="first-champion"), "it has no model, and no trainer: driftloop import orders"),
        (replace(QUIET, untrained="command"), "a person asked to retrain, and no trainer"),
        (replace(QUIET, untrained="drift"), "it has drifted, and no trainer: driftloop import orders"),
        (replace(QUIET, waiting=Waiting("r-2", "champion", 86_400_000, "e")), "driftloop approve orders r-2 --why"),
        (replace(QUIET, paused=True), "driftloop resume orders"),
        (replace(QUIET, epoch=4), "does not serve epoch 4"),
        (replace(QUIET, release="r-2", stage="shadow"), "r-2 is judged in shadow"),
        (
            replace(
                QUIET, failures=5, breaker_open=True, last_failure="run x FAILED: error. KeyError: a.", kept=[DRIFT]
            ),
            "the breaker is open after 5 failures in a row, so only a person starts a run; last: run x FAILED: error. "
            "KeyError: a; kept: drift of 1970-01-02 00:00 (loss: 5 above 4). Fix the cause, then "
            "driftloop retrain orders --why ...",
        ),
        (
            replace(QUIET, breaker_open=True, open=["run for request q-1 goes on"]),
            "run for request q-1 goes on; the breaker is open after several failures in a row",
        ),
        (
            replace(QUIET, release="r-2", stage="shadow", kept=[DRIFT]),
            "as outcomes come in; kept until the open release is promoted or ends: drift of 1970-01-02",
        ),
        (
            replace(QUIET, release="r-2", waiting=Waiting("r-2", "champion", 86_400_000, "e"), kept=[DRIFT]),
            "the policy decides after 1970-01-02 00:00; kept until the open release is promoted or ends: drift",
        ),
        (replace(QUIET, paused=True, kept=[DRIFT]), "; kept until somebody resumes the loop: drift"),
        (replace(QUIET, kept=[DRIFT]), "kept until the next window ends, or the cooldown: drift of 1970-01-02 00:00"),
        (
            replace(QUIET, last_failure="run x FAILED: data."),
            "watched, but the last attempt to train failed: run x FAILED: data; details: driftloop timeline orders",
        ),
        (
            LoopState("orders", failures=2, last_failure="REJECTED r-1 in offline: gain -0.1"),
            "no champion yet, because the last attempt failed: REJECTED r-1 in offline: gain -0.1. Fix the cause; "
            "another run starts at the next window's end, or now with driftloop retrain orders --why ...",
        ),
        (
            LoopState("orders", last_failure="REJECTED r-1 in offline: 9 rows held out", kept=[DRIFT]),
            "9 rows held out. Fix the cause; another run starts at a window's end; kept until the next window ends, or "
            "the cooldown: drift",
        ),
        (replace(QUIET, open=["run for request q-1 goes on"]), "nothing to do: run for request q-1"),
    ],
)
def test_it_says_what_a_person_may_do(state: LoopState, said: str) -> None:
    assert said in next_step(state)


def test_it_names_the_detectors_that_cannot_judge() -> None:
    state = replace(QUIET, silent=[SilentDetector("loss", 6, 48, 100), SilentDetector("shift", 5, 0, 1)])
    assert notes(state) == [
        "detector loss has not judged the last 6 windows: the newest has 48 rows for it, min_rows is 100",
        "detector shift has not judged the last 5 windows: they have no rows for it; does the champion have its input?",
    ]

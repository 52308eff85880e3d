from __future__ import annotations

from dataclasses import replace

import pytest

from driftloop.readmodel.advice import next_step
from driftloop.readmodel.loops import LoopState, Waiting

QUIET = LoopState("orders", champion="r-1", epoch=3, converged_epoch=3)


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
        (replace(QUIET, open=["run for request q-1 goes on"]), "nothing to do: run for request q-1"),
    ],
)
def test_it_says_what_a_person_may_do(state: LoopState, said: str) -> None:
    assert said in next_step(state)

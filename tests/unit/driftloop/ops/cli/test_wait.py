from __future__ import annotations

import pytest

from driftloop.contracts import control_api_pb2 as api
from driftloop.ops.cli.wait import CONDITIONS
from driftloop.process.errors import DriftloopError


def test_a_loop_whose_breaker_is_open_gets_no_champion_by_waiting() -> None:
    state = api.Loop(name="orders", next="the breaker is open after 5 failures in a row", breaker_open=True)
    with pytest.raises(DriftloopError, match="orders gets no champion by itself: the breaker is open after 5"):
        CONDITIONS["champion"](state)
    state.open.append("run for request q-1 goes on")  # of a person
    assert CONDITIONS["champion"](state) == state.next

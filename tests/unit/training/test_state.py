from __future__ import annotations

import re
from pathlib import Path

from services.training.domain.state import RetrainState, parse_state

FIRST_SCHEMA = Path(__file__).parents[2] / "integration" / "driftloop" / "first_schema" / "training.sql"


def test_a_state_can_be_stored_and_read() -> None:
    state = RetrainState("orders", champion="r-1", former=("r-0",), consecutive_failures=3, requests=4)
    assert parse_state(state.to_json()) == state


def test_states_of_the_first_version_are_read() -> None:
    stored = re.findall(r"'(\{[^']*\"requests\"[^']*\})'", FIRST_SCHEMA.read_text())
    assert stored
    for text in stored:
        assert parse_state(text).loop == "flights"

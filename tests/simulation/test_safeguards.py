"""Without one of its safeguards, the system breaks a promise, and the simulation finds it."""

from __future__ import annotations

from typing import get_args

import pytest

from tests.simulation.simulation import simulate
from tests.simulation.system import Safeguard

pytestmark = pytest.mark.extended

CAUGHT_WITHIN = 200
FIRST_SEED: dict[Safeguard, int] = {"epoch of the champion": 150}
"""Where the search begins, for a safeguard that few seeds need. The seeds before it are left out to save time."""


@pytest.mark.parametrize("safeguard", get_args(Safeguard))
def test_a_removed_safeguard_is_noticed(safeguard: Safeguard) -> None:
    violations = (simulate(seed, safeguard).violation for seed in range(FIRST_SEED.get(safeguard, 0), CAUGHT_WITHIN))
    assert any(violations)

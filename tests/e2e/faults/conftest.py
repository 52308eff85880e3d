"""The system that the tests of this folder may damage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.faults.system import FaultySystem, faulty_system


@pytest.fixture(scope="package")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultySystem]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        with faulty_system(tmp_path_factory.mktemp("faulty")) as faulty:
            yield faulty


@pytest.fixture(scope="package")
def with_champion(faulty: FaultySystem) -> FaultySystem:
    """Return the system with a champion of orders. It takes a minute, so only for tests that need one."""
    faulty.replay_orders()
    return faulty

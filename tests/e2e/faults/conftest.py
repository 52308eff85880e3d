"""The system that the tests of this folder may damage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.faults.system import FaultySystem, faulty_system


@pytest.fixture(scope="package")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultySystem]:
    """The system with a champion of orders. The replay comes first: it is refused once later events were sent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        with faulty_system(tmp_path_factory.mktemp("faulty")) as faulty:
            faulty.replay_orders()
            yield faulty

"""Both loops in one system, replayed once for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.e2e.two_loops.harness import TwoLoopReplay, replay_both


@pytest.fixture(scope="package")
def two_loops(tmp_path_factory: pytest.TempPathFactory) -> TwoLoopReplay:
    """Replay January's flights and all orders at once in one system, which is stopped at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        return replay_both(tmp_path_factory.mktemp("two_loops"))

"""Both loops in one system, replayed once for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.e2e.two_loops.together import Together, replay_together


@pytest.fixture(scope="package")
def together(tmp_path_factory: pytest.TempPathFactory) -> Together:
    """Replay January's flights and all orders at once in one system, which is stopped at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        return replay_together(tmp_path_factory.mktemp("together"))

"""Loops of all kinds of label in one system, replayed once for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.e2e.label_kinds.harness import LoopEvents, live_through


@pytest.fixture(scope="package")
def season(tmp_path_factory: pytest.TempPathFactory) -> LoopEvents:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        return live_through(tmp_path_factory.mktemp("kinds"))

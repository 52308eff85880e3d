"""Loops of all kinds of label in one system, replayed once for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.e2e.label_kinds.harness import ReplayResult, replay_all


@pytest.fixture(scope="package")
def result(tmp_path_factory: pytest.TempPathFactory) -> ReplayResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        return replay_all(tmp_path_factory.mktemp("kinds"))

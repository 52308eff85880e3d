"""The running system that the tests of this folder share; each test leaves it intact."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.running.system import RunningSystem, running_demo


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        with running_demo(tmp_path_factory.mktemp("running")) as running:
            yield running

"""Systems that tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.command_line import CommandLine, system
from tests.e2e.together import Together, replay_together


@pytest.fixture(scope="module")
def driftloop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A command line over an empty home; nothing runs yet."""
    with system(tmp_path_factory.mktemp("system"), {}) as line:
        yield line


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> Together:
    """Flights of January and all orders, replayed at once in one system that is down again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        return replay_together(tmp_path_factory.mktemp("together"))

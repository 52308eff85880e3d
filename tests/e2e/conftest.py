"""Systems shared between tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.command_line import CommandLine, system


@pytest.fixture(scope="module")
def driftloop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Yield a command line over an empty home; nothing is started."""
    with system(tmp_path_factory.mktemp("system"), {}) as line:
        yield line

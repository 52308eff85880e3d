"""Fixtures for all tests, and settings that apply to all of them."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

pytest.register_assert_rewrite("tests.helpers.bus")

pytest_plugins = ["tests.helpers.kafka", "tests.helpers.kafka_cluster", "tests.helpers.triton"]

# Tests are deterministic and independent of machine load: no deadlines and the same examples in every run.
# To search for new examples: pytest --hypothesis-profile=search
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")


class _SharedFixtureScheduling(LoadScopeScheduling):
    """With ``-n``: run the tests of a file in one process, because they share fixtures; tests/e2e folders share a
    system.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        folder = path.rsplit("/", 1)[0]
        return folder if folder.startswith("tests/e2e/") else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return _SharedFixtureScheduling(config, log)

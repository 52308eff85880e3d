"""Fixtures that every folder of tests may use, and what holds for all of them."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

pytest.register_assert_rewrite("tests.helpers.bus")

pytest_plugins = ["tests.helpers.kafka", "tests.helpers.triton"]

# Whether a test passes depends on the code alone: not on how busy the machine is, nor on the examples of the day.
# To look for new ones: pytest --hypothesis-profile=search
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")


class _ByWhatIsStarted(LoadScopeScheduling):
    """With ``-n``: tests of a file run in one process, as they share what it starts; those of a folder of whole systems
    do too."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        folder = path.rsplit("/", 1)[0]
        return folder if folder.startswith("tests/e2e/") else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return _ByWhatIsStarted(config, log)

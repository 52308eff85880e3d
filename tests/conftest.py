"""Fixtures that every folder of tests may use, and what holds for all of them."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.helpers.bus")

pytest_plugins = ["tests.helpers.kafka", "tests.helpers.triton"]

# Whether a test passes depends on the code alone: not on how busy the machine is, nor on the examples of the day.
# To look for new ones: pytest --hypothesis-profile=search
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With ``-n``, tests of a file run in one process, as they share what it starts, unless they name their group."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.location[0]))

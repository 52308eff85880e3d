"""Fixtures that every folder of tests may use."""

import pytest

pytest.register_assert_rewrite("tests.helpers.bus")

pytest_plugins = ["tests.helpers.kafka", "tests.helpers.triton"]

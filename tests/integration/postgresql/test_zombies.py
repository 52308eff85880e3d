"""The suite of `tests/unit/test_zombies.py` on PostgreSQL."""

import pytest

from tests.unit.test_zombies import *  # noqa: F403

pytestmark = [pytest.mark.integration]

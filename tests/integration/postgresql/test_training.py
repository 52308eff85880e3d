"""Runs tests of `tests/unit/training` on PostgreSQL."""

import pytest

from tests.unit.training.test_service import *  # noqa: F403
from tests.unit.training.test_worker import *  # noqa: F403

pytestmark = [pytest.mark.integration]

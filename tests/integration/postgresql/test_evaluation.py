"""The suites of `tests/unit/evaluation` on PostgreSQL."""

import pytest

from tests.unit.evaluation.test_handlers import *  # noqa: F403

pytestmark = [pytest.mark.integration]

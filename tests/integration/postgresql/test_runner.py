"""The suites of `tests/unit/driftloop/runner` on PostgreSQL."""

import pytest

from tests.unit.driftloop.runner.test_outbox import *  # noqa: F403
from tests.unit.driftloop.runner.test_service import *  # noqa: F403

pytestmark = [pytest.mark.integration]

"""The suites of `tests/unit/monitoring` on PostgreSQL."""

import pytest

from tests.unit.monitoring.test_decide import *  # noqa: F403
from tests.unit.monitoring.test_joiner import *  # noqa: F403

pytestmark = [pytest.mark.integration]

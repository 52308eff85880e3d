"""The suites of `tests/unit/serving` on PostgreSQL."""

import pytest

from tests.unit.serving.test_route_reconciler import *  # noqa: F403
from tests.unit.serving.test_shipper import *  # noqa: F403

pytestmark = [pytest.mark.integration]

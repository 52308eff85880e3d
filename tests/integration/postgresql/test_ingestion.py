"""The suites of `tests/unit/ingestion` on PostgreSQL."""

import pytest

from tests.unit.ingestion.conftest import *  # noqa: F403
from tests.unit.ingestion.test_service import *  # noqa: F403

pytestmark = [pytest.mark.integration]

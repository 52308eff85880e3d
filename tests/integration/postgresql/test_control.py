"""The suites of `tests/unit/control` on PostgreSQL."""

import pytest

from tests.unit.control.test_commands import *  # noqa: F403
from tests.unit.control.test_predictions import *  # noqa: F403
from tests.unit.control.test_reader import *  # noqa: F403

pytestmark = [pytest.mark.integration]

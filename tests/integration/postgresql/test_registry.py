"""The suites of `tests/unit/registry` on PostgreSQL."""

import pytest

from tests.unit.registry.test_handlers import *  # noqa: F403
from tests.unit.registry.test_ledger import *  # noqa: F403
from tests.unit.registry.test_mirror import *  # noqa: F403
from tests.unit.registry.test_release_flow import *  # noqa: F403

pytestmark = [pytest.mark.integration]

"""The suite of the lease on PostgreSQL."""

import pytest

from tests.unit.driftloop.runner.test_lease import *  # noqa: F403

pytestmark = [pytest.mark.integration]

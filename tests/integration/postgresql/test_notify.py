"""The suite of `tests/unit/control/notify` on PostgreSQL."""

import pytest

from tests.unit.control.notify.test_queue import *  # noqa: F403

pytestmark = [pytest.mark.integration]

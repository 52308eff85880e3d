"""The suite of `tests/unit/test_readers.py` on PostgreSQL."""

import pytest

from tests.unit.test_readers import *  # noqa: F403

pytestmark = [pytest.mark.integration]

"""The suite of `tests/unit/driftloop/featurestore/test_lake.py` on tables in a bucket."""

import pytest

from driftloop.featurestore.lake import LakeTable
from driftloop.process.object_store import RemoteFolder
from tests.unit.driftloop.featurestore.test_lake import *  # noqa: F403

pytestmark = [pytest.mark.integration]


@pytest.fixture  # type: ignore[no-redef]  # instead of the one on local disk
def table(folder: RemoteFolder) -> LakeTable:
    return LakeTable(folder / "deep" / "table")

"""Runs the tests of launchers on a real Ray cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.ray_cluster import RayCluster
from tests.helpers.ray_cluster import ray_cluster as ray_cluster
from tests.integration.training.launchers import Harness, ray_launcher
from tests.integration.training.test_launchers import *  # noqa: F403

pytestmark = [pytest.mark.integration, pytest.mark.proof]


@pytest.fixture
def harness(ray_cluster: RayCluster, tmp_path: Path) -> Harness:
    """A launcher of Ray jobs. Each test has a run id of its own, because the cluster keeps ids."""
    return Harness(tmp_path, lambda text: ray_launcher(ray_cluster.address, tmp_path, text), run_id=tmp_path.name)

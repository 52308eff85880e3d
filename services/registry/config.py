"""Settings of the registry."""

from __future__ import annotations

from pydantic import Field

from driftloop.process.settings import Settings


class RegistrySettings(Settings):
    """Settings of the registry. A loop's rollout is in its `loop.yaml`."""

    mirror_poll_s: float = Field(default=1.0, gt=0)
    """Pause between checks for releases to copy to MLflow."""
    mirror_timeout_s: float = Field(default=10.0, gt=0)
    """Maximum wait for MLflow's answer."""
    mirror_retry_first_s: float = Field(default=1.0, gt=0)
    """Pause after the first failure; it doubles with each failure."""
    mirror_retry_longest_s: float = Field(default=60.0, gt=0)
    """Maximum pause between tries."""

"""Settings of the registry."""

from __future__ import annotations

from pydantic import Field

from driftloop.process.settings import Settings


class RegistrySettings(Settings):
    """Settings of the registry. How a loop rolls out stands in its `loop.yaml`."""

    mirror_poll_s: float = Field(default=1.0, gt=0)
    """Pause between looks for releases to copy to MLflow."""
    mirror_timeout_s: float = Field(default=10.0, gt=0)
    """Longest wait for an answer of MLflow."""
    mirror_retry_first_s: float = Field(default=1.0, gt=0)
    """Pause after the first failure; it doubles with each."""
    mirror_retry_longest_s: float = Field(default=60.0, gt=0)
    """Longest pause between tries."""

"""Settings of the serving agent."""

from __future__ import annotations

from pydantic import Field

from driftloop.process.settings import Settings


class ServingSettings(Settings):
    """Settings of the agent beside the shared ones."""

    triton_call_timeout_s: float = Field(default=5.0, gt=0)
    """Maximum wait for Triton's answer, also to a probe."""
    triton_load_timeout_s: float = Field(default=60.0, gt=0)
    """Maximum wait for a load or an unload."""
    triton_timeout_s: float = Field(default=120.0, gt=0)
    """Maximum time to retry a route while Triton does not answer; then the route fails."""
    route_timeout_s: float = Field(default=30.0, gt=0)
    """Maximum wait for the router to serve a new route."""
    queue_delay_us: int = Field(default=100, ge=0, le=200)
    """Maximum time that Triton's dynamic batcher waits for more requests."""

"""Settings of the serving agent."""

from __future__ import annotations

from pydantic import Field

from driftloop.process.settings import Settings


class ServingSettings(Settings):
    """What the agent has beside the shared settings."""

    triton_call_timeout_s: float = Field(default=5.0, gt=0)
    """Longest wait for an answer of Triton's, a probe's too."""
    triton_load_timeout_s: float = Field(default=60.0, gt=0)
    """Longest wait for a load or an unload."""
    triton_timeout_s: float = Field(default=120.0, gt=0)
    """Wall time for which a Triton that does not answer keeps a route open; after it the route has failed."""
    route_timeout_s: float = Field(default=30.0, gt=0)
    """Longest wait for the router to follow a route."""
    queue_delay_us: int = Field(default=100, ge=0, le=200)
    """Longest wait of Triton's dynamic batcher for more requests."""

"""Settings of the serving agent."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from driftloop.process.settings import Settings
from services.serving.domain.fleet import Fleet


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
    tritons: int = Field(default=1, ge=1)
    """Number of Tritons; the same for all agents."""
    tritons_needed: int = Field(default=0, ge=0)
    """How many of them must serve a route before it counts as served; 0: all. The same for all agents."""

    @property
    def fleet(self) -> Fleet:
        """What the agent knows of the other Tritons."""
        return Fleet(self.tritons, self.tritons_needed or self.tritons, self.triton_name)

    @model_validator(mode="after")
    def _check_tritons(self) -> Self:
        if self.tritons_needed > self.tritons:
            raise ValueError("tritons_needed is greater than tritons")
        if self.triton_name and self.tritons == 1:
            raise ValueError("triton_name is set, so there are several: set tritons to their number, for all agents")
        return self

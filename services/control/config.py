"""Settings of the control service."""

from __future__ import annotations

from pydantic import Field

from services.control.notify.settings import NotifySettings


class ControlSettings(NotifySettings):
    """Settings of the control service. It listens at `control_grpc` and `control_http`."""

    control_pages: int = Field(default=100, ge=1)
    """Maximum number of pages that follow events at once; one more is refused."""
    control_batch: int = Field(default=500, ge=1)
    """Maximum number of events per transaction."""
    control_streams: int = Field(default=200, ge=1)
    """Maximum number of timelines that are followed at once; one more is refused."""
    control_index_wait_s: float = Field(default=5.0, gt=0)
    """Longest wait until the index contains a new prediction."""

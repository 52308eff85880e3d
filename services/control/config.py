"""Settings of the control service."""

from __future__ import annotations

from pydantic import Field

from services.control.notify.settings import NotifySettings


class ControlSettings(NotifySettings):
    """Settings of the control service. It listens where `control_grpc` says that others find it."""

    control_pages: int = Field(default=100, ge=1)
    """Most pages that follow what happens at once; one more is refused."""
    control_batch: int = Field(default=500, ge=1)
    """Most events that are kept in one transaction."""
    control_streams: int = Field(default=200, ge=1)
    """Most timelines that are followed at once; one more is refused."""
    control_index_wait_s: float = Field(default=5.0, gt=0)
    """Longest wait for the index to reach a prediction that was served just now."""

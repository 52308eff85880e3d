"""Settings of the features service."""

from __future__ import annotations

from pydantic import Field

from driftloop.process.settings import Settings


class FeaturesSettings(Settings):
    """Settings of the features service."""

    features_poll_timeout_s: float = Field(default=0.05, gt=0)
    """Maximum wait for a record, and the delay until idleness is noticed."""
    features_linger_s: float = Field(default=0.0, ge=0)
    """A batch ends when no record arrives for this long."""
    features_poll_records: int = Field(default=500, ge=1)
    """Maximum number of records per read."""
    features_flush_rows: int = Field(default=400_000, ge=1)
    """Number of offline rows in memory that triggers a flush."""
    features_flush_span_s: float = Field(default=7 * 86_400, gt=0)
    """Event time of unflushed rows that triggers a flush."""
    features_flush_idle_s: float = Field(default=1.0, gt=0)
    """Unflushed rows are flushed when no watermark arrives for this long."""

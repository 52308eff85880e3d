"""Settings of the features service."""

from __future__ import annotations

from pydantic import Field

from driftloop.process.settings import Settings


class FeaturesSettings(Settings):
    """As every service's, and how much is read, and when offline rows are flushed."""

    features_poll_timeout_s: float = Field(default=0.05, gt=0)
    """Longest wait for a record; also how soon idleness is noticed."""
    features_linger_s: float = Field(default=0.0, ge=0)
    """A batch ends when no record comes for so long."""
    features_poll_records: int = Field(default=500, ge=1)
    """Records read at once."""
    features_flush_rows: int = Field(default=400_000, ge=1)
    """Offline rows held in memory before they are flushed."""
    features_flush_span_s: float = Field(default=7 * 86_400, gt=0)
    """Event time that unflushed rows may span."""
    features_flush_idle_s: float = Field(default=1.0, gt=0)
    """Unflushed rows are flushed when no watermark came for so long."""
    features_dead_letter_limit: int = Field(default=20, ge=1)
    """Records refused in a row before the process stops."""

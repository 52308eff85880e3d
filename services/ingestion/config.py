"""Settings of ingestion."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from driftloop.loop.definition import PositiveSpan
from driftloop.process.settings import Settings


class IngestionSettings(Settings):
    """Settings of ingestion, beside those that every process shares."""

    poll_timeout_s: float = Field(default=0.05, gt=0)
    """Maximum wait for a record."""
    linger_s: float = Field(default=0.002, ge=0)
    """A batch ends when no record arrives for this long, because processing one more batch costs several times that."""
    poll_records: int = Field(default=10_000, ge=1)
    """Maximum number of records of one batch."""
    flush_rows: int = Field(default=50_000, ge=1)
    """Number of waiting rows that triggers a flush."""
    flush_span: PositiveSpan = timedelta(days=7)
    """Event time since the last flush that triggers a flush, as `7d`."""
    flush_idle_s: float = Field(default=1.0, gt=0)
    """Seconds without input after which waiting rows are flushed."""
    dead_letter_limit: int = Field(default=1_000, ge=1)
    """Consecutive dead letters after which a topic is paused for its loop: the fault is then not in single records."""
    lag_every_s: float = Field(default=5.0, gt=0)
    """Seconds between measurements of the lag."""

"""Settings of ingestion."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from driftloop.loop.definition import PositiveSpan
from driftloop.process.settings import Settings


class IngestionSettings(Settings):
    """Settings of ingestion, beside those that every process shares."""

    poll_timeout_s: float = Field(default=0.05, gt=0)
    """Longest wait for a record before anything else is looked at."""
    linger_s: float = Field(default=0.002, ge=0)
    """A batch ends when no record comes for so long: handling one more batch costs several times that."""
    poll_records: int = Field(default=10_000, ge=1)
    """Most records of one batch."""
    flush_rows: int = Field(default=50_000, ge=1)
    """Rows waiting for the lake at which they are flushed."""
    flush_span: PositiveSpan = timedelta(days=7)
    """Event time since the last flush at which the lake is flushed, as `7d`."""
    flush_idle_s: float = Field(default=1.0, gt=0)
    """Seconds without input after which the lake is flushed if it lags."""
    dead_letter_limit: int = Field(default=1_000, ge=1)
    """Dead letters in a row after which ingestion stops: then the fault is not the records'."""
    lag_every_s: float = Field(default=5.0, gt=0)
    """Seconds between looks at how far behind the topics' ends we are."""

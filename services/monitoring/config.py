"""Settings of the monitoring service's two processes. What is tested stands in each `loop.yaml`."""

from __future__ import annotations

from pydantic import Field

from driftloop.process.settings import Settings


class MonitoringSettings(Settings):
    """Settings of the outcome join."""

    poll_records: int = Field(default=5000, ge=1)
    """Most records in one transaction."""
    poll_timeout_s: float = Field(default=0.1, gt=0)
    """Longest wait for a record."""
    linger_s: float = Field(default=0.02, ge=0)
    """A batch ends when no record comes for so long: each is a transaction."""
    commit_every_s: float = Field(default=1.0, gt=0)
    """How often the broker is told what was read, for lag monitoring; SQL holds what counts."""
    reference_timeout_s: float = Field(default=60.0, gt=0)
    """Longest wait of a window for the route of a release that scored it; then the process ends and begins again."""
    dead_letter_limit: int = Field(default=20, ge=1)
    """Refused records in a row after which the process stops."""


class DetectorsSettings(Settings):
    """Settings of the detectors."""

    session_timeout_s: float = Field(default=6.0, ge=6.0)
    """After so long without a sign of life the broker drops a killed process; the next one waits for that."""
    heartbeat_interval_s: float = Field(default=2.0, gt=0)
    """Signs of life."""
    commit_interval_s: float = Field(default=0.25, gt=0)
    """How often read offsets are noted at the broker."""
    topics_timeout_s: float = Field(default=60.0, gt=0)
    """Longest wait for the topics at the start."""
    start_timeout_s: float = Field(default=20.0, gt=0)
    """Longest time from then until windows are read; after it the process ends and begins again."""
    unread_look_s: float = Field(default=2.0, gt=0)
    """How often the broker is asked whether there is a window that has not been read."""
    unread_timeout_s: float = Field(default=10.0, gt=0)
    """For so long there may be one; after it the process ends and begins again, with that window."""
    dead_letter_limit: int = Field(default=20, ge=1)
    """Refused records in a row after which the process stops."""

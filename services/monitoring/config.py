"""Settings of the two monitoring processes. The detectors' thresholds are in each `loop.yaml`."""

from __future__ import annotations

from pydantic import Field

from driftloop.process.settings import Settings


class MonitoringSettings(Settings):
    """Settings of the outcome join."""

    poll_records: int = Field(default=5000, ge=1)
    """Maximum number of records in one transaction."""
    windows_per_transaction: int = Field(default=50, ge=1)
    """Maximum number of windows of a loop that one transaction closes."""
    poll_timeout_s: float = Field(default=0.1, gt=0)
    """Maximum wait for a record."""
    linger_s: float = Field(default=0.02, ge=0)
    """A batch ends when no record arrives for this long. One batch is one transaction."""
    commit_every_s: float = Field(default=1.0, gt=0)
    """Interval between commits to the broker. They are for lag monitoring only: a restart uses the positions in SQL."""
    writer_timeout_s: float = Field(default=0.0, ge=0)
    """Time after which a prediction writer is given up that writes nothing while another one is ahead; 0: never."""
    reference_timeout_s: float = Field(default=60.0, gt=0)
    """Maximum time that a window waits for the route of a release that scored it; then the process exits and restarts.
    """


class DetectorsSettings(Settings):
    """Settings of the detectors."""

    session_timeout_s: float = Field(default=6.0, ge=6.0)
    """The broker takes the partition from a killed process after this long; only then can the next process read."""
    heartbeat_interval_s: float = Field(default=2.0, gt=0)
    """Interval between heartbeats to the broker."""
    commit_interval_s: float = Field(default=0.25, gt=0)
    """Interval between commits of read offsets to the broker."""
    topics_timeout_s: float = Field(default=60.0, gt=0)
    """Maximum wait for the topics at the start."""
    start_timeout_s: float = Field(default=20.0, gt=0)
    """Maximum time from then until windows are read; after it the process exits and is restarted."""
    unread_look_s: float = Field(default=2.0, gt=0)
    """Interval between checks for windows that the broker holds and Faust has not delivered."""
    unread_timeout_s: float = Field(default=10.0, gt=0)
    """Maximum time that such a window may wait; after it the process exits, and the next start reads the window."""

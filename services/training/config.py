"""Settings of the training service."""

from __future__ import annotations

from pydantic import Field

from driftloop.process.settings import Settings


class TrainingSettings(Settings):
    """Settings of the training service; when and how a loop trains stands in its `loop.yaml`."""

    worker_pause_s: float = Field(default=0.25, gt=0)
    """Between two looks at the runs that are wanted, and so at their memory and time."""
    run_threads: int = Field(default=1, ge=1)
    """Threads of a run's numeric libraries. With one, the same manifest gives the same weights."""

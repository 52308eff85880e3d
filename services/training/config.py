"""Settings of the training service."""

from __future__ import annotations

from pydantic import Field

from driftloop.process.settings import Settings


class TrainingSettings(Settings):
    """Settings of the training service. When and how a loop trains is in its `loop.yaml`."""

    worker_pause_s: float = Field(default=0.25, gt=0)
    """Pause between checks of the open runs, and therefore of their memory and time."""
    run_threads: int = Field(default=1, ge=1)
    """Number of threads of a run's numeric libraries. With one thread, the same manifest gives the same weights."""

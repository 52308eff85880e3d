"""What the worker needs of the world. Adapters: a subprocess; a Ray job or a Kubernetes Job fit the same calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from services.training.spec import Result, RunSpec


@dataclass(frozen=True, slots=True)
class Observation:
    """How a run is.

    ``absent``: nobody works on it and it has said nothing. ``ended`` without a result: it died, see ``last_words``.
    """

    phase: Literal["absent", "running", "ended"]
    memory_mib: float = 0.0
    result: Result | None = None
    last_words: str = ""


class Launcher(Protocol):
    """Starts runs away from this process. A run is known by its folder, so that it is found again after a restart."""

    def launch(self, spec: RunSpec) -> None:
        """Start the run; a no-op where somebody works on it already."""
        ...

    def observe(self, folder: Path) -> Observation:
        """How the run of a folder is; never waits for it."""
        ...

    def stop(self, folder: Path) -> None:
        """End the run with all its processes, at once; a no-op where it ended. It may have left a result before."""
        ...

    def close(self) -> None:
        """Stop every run that this process started."""
        ...

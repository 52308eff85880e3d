"""Ports of the worker. The adapter uses subprocesses; a Ray job or a Kubernetes Job fits the same calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from services.training.spec import Result, RunSpec


@dataclass(frozen=True, slots=True)
class Observation:
    """The state of a run.

    ``absent``: no process and no result. ``ended`` without a result: the process died, see ``stderr_tail``.
    """

    phase: Literal["absent", "running", "ended"]
    memory_mib: float = 0.0
    result: Result | None = None
    stderr_tail: str = ""


class Launcher(Protocol):
    """Starts runs outside this process. A run's folder identifies it, also after a restart."""

    def launch(self, spec: RunSpec) -> None:
        """Start the run, unless a process already works on it."""
        ...

    def observe(self, folder: Path) -> Observation:
        """Return the state of a folder's run, without waiting."""
        ...

    def stop(self, folder: Path) -> None:
        """Kill the run with all its processes, if it has not ended. It may have written a result before."""
        ...

    def close(self) -> None:
        """Stop every run that this process started."""
        ...

"""Ports of the worker. Adapters launch runs as local processes, Kubernetes Jobs or Ray jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from services.training.spec import Failed, Result, RunSpec


@dataclass(frozen=True, slots=True)
class Observation:
    """The state of a run.

    ``absent``: nothing works on it and there is no result. ``pending``: accepted, and not yet started. ``ended``
    without a result: the process died, see ``stderr_tail``.
    """

    phase: Literal["absent", "pending", "running", "ended"]
    memory_mib: float = 0.0
    """Memory in use; 0 if something beside the run measures and limits it."""
    result: Result | None = None
    stderr_tail: str = ""
    overdue: Failed | None = None
    """The failure of a run that has been pending for too long; it must be stopped."""


class Launcher(Protocol):
    """Starts runs outside this process. The run's id identifies it, also after a restart."""

    @property
    def start_limit_s(self) -> float:
        """Most seconds between a launch and the start of the run, in which a cluster finds room and an image."""
        ...

    @property
    def outlives_service(self) -> bool:
        """Whether runs continue while the service is stopped, and are found by its next start."""
        ...

    def launch(self, spec: RunSpec) -> None:
        """Start the run, unless something already works on it.

        Raises:
            LaunchRefused: it can never start like this.
            Retriable: it cannot start now, or nobody knows whether it did.
        """
        ...

    def observe(self, spec: RunSpec) -> Observation:
        """Return the state of a run, without waiting.

        Raises:
            Retriable: the state is unknown at the moment.
        """
        ...

    def stop(self, spec: RunSpec) -> None:
        """Kill the run with all its processes, if it has not ended. It may have written a result before.

        Raises:
            Retriable: it may still run.
        """
        ...

    def close(self) -> None:
        """Stop every run that needs this process."""
        ...

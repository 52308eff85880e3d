"""Limits of a run's time and memory."""

from __future__ import annotations

from datetime import timedelta

from services.training.ports import Observation
from services.training.spec import Failed, RunSpec


def exceeded_limit(
    spec: RunSpec, observation: Observation, elapsed_s: float, start_limit_s: float = 0.0
) -> Failed | None:
    """Return the failure of a running run that has exceeded a limit, else None.

    ``elapsed_s`` may contain up to ``start_limit_s`` before the run started.
    """
    if observation.phase != "running":
        return None
    limit_s = spec.time_limit_s + start_limit_s
    if spec.time_limit_s and elapsed_s > limit_s:
        return Failed("timeout", f"still running after {elapsed_s:.0f} s; the limit is {timedelta(seconds=limit_s)}")
    memory_mib, limit_mib = observation.memory_mib, spec.memory_limit_mib
    if limit_mib and memory_mib > limit_mib:
        return Failed("memory", f"{memory_mib:.0f} MiB in use; the limit is {limit_mib} MiB")
    return None

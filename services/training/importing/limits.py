"""Limits the process that inspects a stranger's model: a model is a program, and may run forever or fill the memory."""

from __future__ import annotations

import math
import resource
from pathlib import Path

from pydantic import Field

from driftloop.process.settings import Settings


class InspectionSettings(Settings):
    """Limits of an inspection, beside the shared settings."""

    import_cpu_s: int = Field(default=120, ge=1)
    """Most seconds of CPU time that the inspection of an imported model may take."""
    import_memory_mib: int = Field(default=4096, ge=64)
    """Most MiB of memory that the inspection of an imported model may add to the process."""


def limit_inspection(settings: InspectionSettings) -> None:
    """Let this process end with SIGXCPU, or its allocations fail, beyond the limits from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime) + settings.import_cpu_s)
    _limit(resource.RLIMIT_DATA, _data_bytes() + (settings.import_memory_mib << 20))


def _limit(what: int, amount: int) -> None:
    _, most = resource.getrlimit(what)
    resource.setrlimit(what, (amount if most == resource.RLIM_INFINITY else min(amount, most), most))


def _data_bytes() -> int:
    """Return the private, writable memory that the kernel counts for the limit."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmData:")) << 10

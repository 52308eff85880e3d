"""Which loops the running services know: those that existed when `up` last started the services."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from driftloop.loop import Loop
from driftloop.process.atomic_file import replace_file
from driftloop.process.errors import ConfigError
from driftloop.process.settings import Settings


def write_running_loops(settings: Settings, loops: Sequence[Loop]) -> None:
    """Record the loops that the services read at their start."""
    replace_file(_path(settings), json.dumps({"names": [loop.name for loop in loops], **_where(settings)}))


def added_loops(settings: Settings, loops: Sequence[Loop]) -> list[str]:
    """Return the loops that the running services do not know; none if that was not recorded.

    Raises:
        ConfigError: there are such loops, but the services look for loops elsewhere.
    """
    path = _path(settings)
    if not path.exists():
        return []
    running = json.loads(path.read_text())
    added = sorted({loop.name for loop in loops} - set(running["names"]))
    for variable, value in _where(settings).items():
        if added and running[variable] != value:
            raise ConfigError(
                f"the running system does not know {', '.join(added)}: it was started with "
                f"{variable}={running[variable]}, and here it is {value}. Run `driftloop down`, then `driftloop up`, "
                "to start with the new value"
            )
    return added


def _where(settings: Settings) -> dict[str, Any]:
    """Return the settings that the supervisor gave to the services, by name of the variable."""
    return {
        "DRIFTLOOP_LOOPS_DIR": str(settings.loops_dir.resolve()),
        "DRIFTLOOP_FEATURE_REPO": str(settings.feature_repo.resolve()),
        "DRIFTLOOP_LOOPS": list(settings.loops),
    }


def _path(settings: Settings) -> Path:
    return settings.home / "run" / "loops.json"

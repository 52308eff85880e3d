"""Restores the state at a start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from driftloop.process.errors import ConfigError
from services.features.domain.loop_run import LoopRun, ViewsChanged
from services.features.domain.views import ViewSpec
from services.features.ports import Checkpoint


def restored(specs: Mapping[str, Sequence[ViewSpec]], partitions: int, checkpoint: Checkpoint) -> dict[str, LoopRun]:
    """Return each loop at the checkpoint, or at its beginning."""
    runs = {name: LoopRun(name, views, partitions) for name, views in specs.items()}
    try:
        for name, state in checkpoint.loops.items():
            if name in runs:
                runs[name].restore(state)
    except ViewsChanged as error:
        command = "python -m services.features.backfill --loop LOOP"
        raise ConfigError(f"{error}; stop the service and run `{command}`") from error
    return runs

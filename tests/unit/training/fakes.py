"""Fakes of the training service's ports."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.training.ports import Observation
from services.training.spec import Result, RunSpec, Trained

TRAINED = Trained("mlflow-1", "/bundles/1", "d1gest", "/bundles/1/holdout.parquet", 120, 4.5, {"loss": 0.4})


@dataclass
class ManualLauncher:
    """Launches runs that the test ends. Its runs remain when the worker is created again."""

    launched: list[RunSpec] = field(default_factory=list)
    runs: dict[Path, Observation] = field(default_factory=dict)
    stopped: list[Path] = field(default_factory=list)
    result_at_stop: Result | None = None

    def launch(self, spec: RunSpec) -> None:
        self.launched.append(spec)
        self.runs[Path(spec.folder)] = Observation("running", memory_mib=100.0)

    def observe(self, folder: Path) -> Observation:
        return self.runs.get(folder, Observation("absent"))

    def stop(self, folder: Path) -> None:
        self.stopped.append(folder)
        self.runs[folder] = Observation("ended", result=self.result_at_stop, stderr_tail="killed")

    def close(self) -> None:
        for folder in list(self.runs):
            self.stop(folder)

    @property
    def folder(self) -> Path:
        """Return the folder of the newest run."""
        return Path(self.launched[-1].folder)

    def end(self, result: Result | None, stderr_tail: str = "") -> None:
        """End the newest run."""
        self.runs[self.folder] = Observation("ended", result=result, stderr_tail=stderr_tail)

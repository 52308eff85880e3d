"""Fakes of the training service's ports."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.training.ports import Observation
from services.training.spec import Result, RunSpec, TableVersion, Trained

ORDERS = Path(__file__).resolve().parents[2] / "loops" / "orders"
TRAINED = Trained("mlflow-1", "/bundles/1", "d1gest", "/bundles/1/holdout.parquet", 120, 4.5, {"loss": 0.4})


def spec_in(folder: Path) -> RunSpec:
    return RunSpec(
        loop="orders",
        loop_folder=str(ORDERS),
        run_id="run-1",
        request_id="request-1",
        reasons=("drift",),
        window_start_ms=0,
        window_end_ms=80_000,
        seed=7,
        events={"orders.placed": TableVersion("/lake/placed", 3)},
        views={"view": TableVersion("/lake/view", 5)},
        home="/home",
        feature_repo="/repo",
        state_url="",
        mlflow_uri="sqlite://",
        mlflow_artifacts="",
        folder=str(folder / "run"),
        bundle_folder=str(folder / "bundle"),
        environment_lock="",
    )


@dataclass
class ManualLauncher:
    """Launches runs that the test ends. Its runs remain when the worker is created again."""

    launched: list[RunSpec] = field(default_factory=list)
    runs: dict[Path, Observation] = field(default_factory=dict)
    stopped: list[Path] = field(default_factory=list)
    result_at_stop: Result | None = None
    start_limit_s: float = 0.0
    outlives_service: bool = False

    error: Exception | None = None
    """Raised by each call, until it is None again."""

    def launch(self, spec: RunSpec) -> None:
        self._fail()
        self.launched.append(spec)
        self.runs[Path(spec.folder)] = Observation("running", memory_mib=100.0)

    def observe(self, spec: RunSpec) -> Observation:
        self._fail()
        return self.runs.get(Path(spec.folder), Observation("absent"))

    def stop(self, spec: RunSpec) -> None:
        self._stop(Path(spec.folder))

    def _stop(self, folder: Path) -> None:
        self.stopped.append(folder)
        self.runs[folder] = Observation("ended", result=self.result_at_stop, stderr_tail="killed")

    def close(self) -> None:
        for folder in list(self.runs):
            self._stop(folder)

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    @property
    def folder(self) -> Path:
        """Return the folder of the newest run."""
        return Path(self.launched[-1].folder)

    def end(self, result: Result | None, stderr_tail: str = "") -> None:
        """End the newest run."""
        self.runs[self.folder] = Observation("ended", result=result, stderr_tail=stderr_tail)

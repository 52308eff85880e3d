"""The launchers, each with what runs its runs, for the tests of their common behaviour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from driftloop.process.settings import ROOT
from services.training.adapters.kubernetes_launcher import KubernetesLauncher
from services.training.adapters.ray_launcher import RayLauncher
from services.training.adapters.subprocess_launcher import SubprocessLauncher
from services.training.config import KubernetesSettings, RaySettings
from services.training.ports import Launcher, Observation
from services.training.spec import RUNS, RunSpec
from tests.helpers.eventually import assert_eventually
from tests.helpers.kubernetes_api import KubernetesApi
from tests.helpers.processes import gone
from tests.helpers.ray_api import RayApi
from tests.helpers.ray_cluster import RayCluster
from tests.integration.training.runs import program, remote_program, spec_for

WORD = "WORD"
"""Variable that every run gets."""


@dataclass
class Harness:
    """A launcher for one run. ``make`` returns a new launcher, as after a restart of the service."""

    home: Path
    make: Callable[[str], Launcher]
    """Takes the Python code of a run."""
    run_id: str = "run-1"

    @property
    def spec(self) -> RunSpec:
        return replace(spec_for(self.home / RUNS / "orders" / self.run_id), run_id=self.run_id)

    @property
    def folder(self) -> Path:
        return Path(self.spec.folder)

    def read(self, name: str) -> str:
        """Wait for a line that the run writes to a file of its folder, and return it."""
        path = self.folder / name
        return assert_eventually(lambda: path.read_text().strip() if path.exists() else "")

    def ended(self, launcher: Launcher, spec: RunSpec | None = None) -> Observation:
        """Wait for the end of the run; return how it ended."""
        seen: list[Observation] = []

        def is_ended() -> bool:
            seen.append(launcher.observe(spec or self.spec))
            return seen[-1].phase == "ended"

        assert_eventually(is_ended)
        return seen[-1]

    def works(self) -> bool:
        """Return whether the run that wrote its process id to `pid-of-run` still lives."""
        path = self.folder / "pid-of-run"
        return path.exists() and not gone(int(path.read_text()))


@contextmanager
def subprocesses(home: Path, _: pytest.MonkeyPatch) -> Iterator[Harness]:
    made: list[SubprocessLauncher] = []

    def make(text: str) -> Launcher:
        made.append(SubprocessLauncher({WORD: "given"}, program(text)))
        return made[-1]

    harness = Harness(home, make)
    try:
        yield harness
    finally:
        for launcher in made:
            launcher.stop(harness.spec)


@contextmanager
def kubernetes(home: Path, patch: pytest.MonkeyPatch) -> Iterator[Harness]:
    folder = home / "kubernetes"
    folder.mkdir(parents=True)
    with KubernetesApi(folder).running() as api:
        patch.setenv("KUBECONFIG", str(api.kubeconfig()))

        def make(text: str) -> Launcher:
            return KubernetesLauncher(SETTINGS, home, {WORD: "given"}, command=remote_program(text))

        yield Harness(home, make)


@contextmanager
def ray(home: Path, _: pytest.MonkeyPatch) -> Iterator[Harness]:
    folder = home / "ray"
    folder.mkdir(parents=True)
    with RayApi(folder).running() as api:
        yield Harness(home, lambda text: ray_launcher(api.address, home, text))


def ray_launcher(address: str, home: Path, text: str) -> RayLauncher:
    settings = RaySettings(ray_address=address, launcher_start_limit_s=60, ray_extra_memory_mib=0)
    environment = {WORD: "given", "PYTHONPATH": str(ROOT)}
    return RayLauncher(settings, home, environment, command=remote_program(text))


SETTINGS = KubernetesSettings(kubernetes_image="driftloop:1", launcher_start_limit_s=60)
REAL_RAY = "ray-cluster"
ALL = {"subprocess": subprocesses, "kubernetes": kubernetes, "ray": ray}


@pytest.fixture(params=[*ALL, pytest.param(REAL_RAY, marks=pytest.mark.proof)])
def harness(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """Run the test once with each launcher. Each test on the real cluster has its own run id: Ray keeps them."""
    if request.param == REAL_RAY:
        cluster: RayCluster = request.getfixturevalue("ray_cluster")
        yield Harness(tmp_path, lambda text: ray_launcher(cluster.address, tmp_path, text), run_id=tmp_path.name)
        return
    with ALL[request.param](tmp_path, monkeypatch) as made:
        yield made

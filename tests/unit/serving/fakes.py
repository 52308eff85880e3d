"""Fakes of the agent's ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from driftloop.loop import LoopDefinition
from driftloop.model.bundle import Bundle, Manifest
from driftloop.process.errors import BundleError, Retriable
from services.serving.domain.probe import GoldenRow, ProbeAnswer, Value
from services.serving.domain.route import Route, RouteStatus
from services.serving.ports import LoadRefused
from tests.unit.serving.harness import CATEGORICAL, LOOP, NUMERIC


@dataclass
class FakeRouterFiles:
    """A router that follows announced routes while Triton has its model."""

    broken: dict[str, str] = field(default_factory=dict)
    """Error by release that it cannot load."""
    ignores_routes: bool = False
    announced: list[Route] = field(default_factory=list)
    current: Route | None = None
    answering: Route | None = None

    def render_model(self, definition: LoopDefinition) -> bool:
        return not self.announced

    def announce(self, route: Route) -> None:
        self.announced.append(route)
        self.current = route

    def withdraw(self, loop: str) -> None:
        self.current = None

    def status(self, loop: str) -> RouteStatus | None:
        if self.current is None or self.ignores_routes:
            return None
        for ref in self.current.releases:
            if ref.release_id in self.broken:
                serving = self.answering.epoch if self.answering else 0
                return RouteStatus(self.current.epoch, self.broken[ref.release_id], ref.release_id, serving)
        self.answering = self.current
        return RouteStatus(self.current.epoch, serving=self.current.epoch)


@dataclass
class FakeTriton:
    """Loads the router's model and answers probes with its route."""

    files: FakeRouterFiles
    up: bool = True
    loaded: bool = False
    loads: int = 0
    empty_loads: int = 0
    """Number of loads that succeed without a loaded model."""
    wrong_answer: str = ""
    """Release that answers every probe instead of the right one."""
    probes: list[str] = field(default_factory=list)

    def live(self) -> bool:
        return self.up

    def model_ready(self, model: str) -> bool:
        self._answer()
        return self.loaded

    def load(self, model: str) -> None:
        self._answer()
        self.loads += 1
        if self.empty_loads:
            self.empty_loads -= 1
            return
        status = self.files.status(model)
        if status is not None and status.error:
            raise LoadRefused("load failed")
        self.loaded = True

    def unload(self, model: str) -> None:
        self._answer()
        self.loaded = False
        self.files.answering = None

    def probe(self, model: str, request_id: str, values: Mapping[str, Value], types: Mapping[str, str]) -> ProbeAnswer:
        self._answer()
        if not self.loaded or self.files.answering is None:
            raise LoadRefused("model not ready")
        self.probes.append(request_id)
        return ProbeAnswer(self.wrong_answer or self.files.answering.champion.release_id, request_id, (0.5,))

    def crash(self) -> None:
        """Restart without a model."""
        self.loaded = False
        self.files.answering = None

    def _answer(self) -> None:
        if not self.up:
            raise Retriable("Triton does not answer")


@dataclass
class FakeReleases:
    """Bundles of the test's loop; those in `broken` fail."""

    broken: set[str] = field(default_factory=set)
    loop: str = LOOP
    staged: list[str] = field(default_factory=list)

    def stage(self, release_id: str, uri: str, digest: str) -> Bundle:
        if release_id in self.broken:
            raise BundleError(f"{uri}: sha256 differs")
        self.staged.append(release_id)
        manifest = Manifest(self.loop, "run", "binary", "service", NUMERIC, CATEGORICAL, {})
        return Bundle(Path(uri), manifest, digest)

    def golden_row(self, bundle: Bundle) -> GoldenRow:
        return GoldenRow(np.zeros(len(NUMERIC)), np.array([""] * len(CATEGORICAL)))


@dataclass
class MemoryPositions:
    """`SpoolPositions` in memory; survives a restart."""

    saved: dict[str, dict[int, int]] = field(default_factory=dict)

    def load(self, loop: str) -> dict[int, int]:
        return dict(self.saved.get(loop, {}))

    def save(self, loop: str, positions: Mapping[int, int]) -> None:
        self.saved[loop] = dict(positions)


@dataclass
class MemoryStarts:
    """`WriterStarts` in memory; survives a restart."""

    begun: dict[str, int] = field(default_factory=dict)
    watermarks_ms: dict[str, int] = field(default_factory=dict)

    def begin(self, loops: Sequence[str], least: int) -> dict[str, tuple[int, int | None]]:
        self.begun |= {loop: max(least, self.begun.get(loop, 0) + 1) for loop in loops}
        return {loop: (self.begun[loop], self.watermarks_ms.get(loop)) for loop in loops}

    def save(self, watermarks_ms: Mapping[str, int]) -> None:
        self.watermarks_ms |= watermarks_ms

"""Deploys a route to the router: stage, announce, load, wait, probe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from driftloop.loop import LoopDefinition
from driftloop.model.bundle import Bundle
from driftloop.process.clock import Clock
from driftloop.process.errors import BundleError, DriftloopError, Retriable
from services.serving.domain.desired import DesiredRoute
from services.serving.domain.model_config import input_types
from services.serving.domain.probe import expected_release, probe_id, probe_problem, probe_values
from services.serving.domain.route import Route
from services.serving.ports import LoadRefused, Releases, RouterFiles, Triton

_POLL_S = 0.005


class RouteRefused(DriftloopError):
    """A route cannot be served because of ``release_id``."""

    def __init__(self, release_id: str, reason: str) -> None:
        super().__init__(f"{release_id}: {reason}")
        self.release_id = release_id
        self.reason = reason


@dataclass(frozen=True)
class RouteDeployer:
    """Deploys requested routes. Every wait has a limit."""

    definitions: Mapping[str, LoopDefinition]
    triton: Triton
    releases: Releases
    files: RouterFiles
    newest_watermark_ms: Callable[[str], int]
    """Returns the greatest watermark of a loop's views, or 0."""
    clock: Clock
    stop: threading.Event
    status_timeout_s: float

    def deploy(self, desired: DesiredRoute, withdraws: int = 0) -> str:
        """Make the router serve a route; return the probe's prediction id.

        Raises:
            RouteRefused: the route cannot be served.
            Retriable: Triton does not answer, or the agent stops.
        """
        route = desired.route
        if withdraws:
            route = replace(route, withdraws=withdraws)
        bundles = {ref.release_id: self._stage(desired, ref.release_id, ref.digest) for ref in route.releases}
        changed = self.files.render_model(self.definitions[route.loop])
        self.files.announce(route)
        if changed or not self.triton.model_ready(route.loop):
            self._load(desired, route)
        self._await_router(desired, route)
        return self._probe(desired, route, bundles[expected_release(route)])

    def remove(self, loop: str) -> None:
        """Remove a loop's route and unload its model."""
        self.files.withdraw(loop)
        self.triton.unload(loop)

    def _stage(self, desired: DesiredRoute, release_id: str, digest: str) -> Bundle:
        try:
            bundle = self.releases.stage(release_id, desired.uri(release_id), digest)
        except BundleError as error:
            raise RouteRefused(release_id, str(error)) from error
        if bundle.manifest.loop != desired.route.loop:
            raise RouteRefused(release_id, f"its bundle belongs to the loop {bundle.manifest.loop!r}")
        problem = self._unknown_inputs(bundle)
        if problem:
            raise RouteRefused(release_id, problem)
        return bundle

    def _unknown_inputs(self, bundle: Bundle) -> str:
        known = input_types(self.definitions[bundle.manifest.loop])
        inputs = (*bundle.manifest.numeric, *bundle.manifest.categorical)
        unknown = [column.name for column in inputs if column.source == "request" and column.name not in known]
        return f"requests do not have its inputs {', '.join(unknown)}" if unknown else ""

    def _load(self, desired: DesiredRoute, route: Route) -> None:
        """Load the model. A load after a failed load can succeed without a loaded model; then unload and load again."""
        try:
            self.triton.load(route.loop)
            if not self.triton.model_ready(route.loop):
                self.triton.unload(route.loop)
                self.triton.load(route.loop)
        except LoadRefused as error:
            status = self.files.status(route.loop)
            if status is not None and status.error:
                raise RouteRefused(status.release_id or desired.blamed_release_id, status.error) from error
            raise RouteRefused(desired.blamed_release_id, str(error)) from error

    def _await_router(self, desired: DesiredRoute, route: Route) -> None:
        deadline = self.clock.monotonic_s() + self.status_timeout_s
        while self.clock.monotonic_s() < deadline:
            status = self.files.status(route.loop)
            if status is not None and status.error:
                raise RouteRefused(status.release_id or desired.blamed_release_id, status.error)
            if status is not None and status.serving == route.epoch:
                return
            if self.stop.wait(_POLL_S):
                raise Retriable("the agent stops")
        raise RouteRefused(
            desired.blamed_release_id, f"the router did not serve the route within {self.status_timeout_s:g} s"
        )

    def _probe(self, desired: DesiredRoute, route: Route, bundle: Bundle) -> str:
        definition = self.definitions[route.loop]
        manifest = bundle.manifest
        try:
            golden = self.releases.golden_row(bundle)
            now_ms = self.newest_watermark_ms(route.loop)
            values = probe_values(definition, route, (manifest.numeric, manifest.categorical), golden, now_ms)
            answer = self.triton.probe(route.loop, probe_id(route), values, input_types(definition))
        except (BundleError, LoadRefused) as error:
            raise RouteRefused(expected_release(route), f"the probe failed: {error}") from error
        problem = probe_problem(route, answer)
        if problem:
            raise RouteRefused(desired.blamed_release_id, problem)
        return answer.prediction_id

"""Follows a loop's route file: loads a new route's releases while the current route answers, then swaps them.

`RouteFollower.live` returns one reference. A batch reads it once, so a swap takes effect between batches and a running
batch ends on the route it began with. The previous route's releases stay loaded, so restoring it needs no load.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from driftloop.process.atomic_file import replace_file
from services.serving.domain.route import ReleaseOnRoute, Route, RouteStatus, is_newer, parse_route
from services.serving.router.sessions import ReleaseError

R = TypeVar("R")


@dataclass(frozen=True)
class LiveRoute(Generic[R]):
    """A route with its loaded releases."""

    route: Route
    champion: R
    challenger: R | None


class RouteFollower(Generic[R]):
    """Follows the route of one loop. `refresh` runs in one thread; any thread may read `live`."""

    def __init__(self, folder: Path, loop: str, load: Callable[[ReleaseOnRoute], R], poll_s: float = 0.02) -> None:
        self._file = folder / f"{loop}.json"
        self._status_file = folder / f"{loop}.status.json"
        self._load = load
        self._poll_s = poll_s
        self._seen: tuple[int, int] | None = None
        self._newest = 0
        self._live: LiveRoute[R] | None = None
        self._warm: dict[ReleaseOnRoute, R] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="routes", daemon=True)

    @property
    def live(self) -> LiveRoute[R] | None:
        """The route that answers now."""
        return self._live

    def refresh(self) -> RouteStatus | None:
        """Follow the route file if it changed; return the new status."""
        seen = _signature(self._file)
        if seen is None or seen == self._seen:
            return None
        self._seen = seen
        status = self._follow()
        replace_file(self._status_file, status.to_json())
        return status

    def start(self) -> None:
        """Follow the file in a background thread."""
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _watch(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.refresh()

    def _follow(self) -> RouteStatus:
        serving = self._live.route.epoch if self._live else 0
        try:
            route = parse_route(self._file.read_bytes())
        except (OSError, ValueError) as error:
            return RouteStatus(epoch=0, error=str(error), serving=serving)
        if route.epoch == serving:
            return RouteStatus(epoch=route.epoch, serving=serving)
        if not is_newer(route, serving, self._newest):
            return RouteStatus(route.epoch, f"epoch {route.epoch} is older than {self._newest}", serving=serving)
        self._newest = max(self._newest, route.epoch, route.withdraws)
        try:
            self._swap(route)
        except ReleaseError as error:
            return RouteStatus(route.epoch, error.why, error.release_id, serving)
        return RouteStatus(epoch=route.epoch, serving=route.epoch)

    def _swap(self, route: Route) -> None:
        loaded = {ref: self._warm[ref] if ref in self._warm else self._load(ref) for ref in route.releases}
        before = self._live.route.releases if self._live else ()
        challenger = loaded[route.challenger] if route.challenger else None
        self._live = LiveRoute(route, loaded[route.champion], challenger)
        kept = {ref: release for ref, release in self._warm.items() if ref in before}
        self._warm = {**kept, **loaded}


def _signature(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns

"""Makes the router serve the requested routes, one loop at a time, and reports how each ended.

A requested route is in SQL before the reconciler acts on it, so a killed agent resumes there. The event id of a route
consists of loop and epoch, so its event is sent once. Triton or its router may lose its state at any time; the current
route is then deployed again, without an event.

With several Tritons the event is a report; the handlers of all agents make one event of the reports. A Triton that
cannot serve a route that enough others serve is sick: it is not ready, and tries again from time to time.

A loop's router gets no route before the agent is an open writer of the loop's prediction log, and stops to answer when
the agent was given up as one. A router that already answers when the agent starts continues: windows wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from driftloop.events.envelope import Draft
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import Retriable
from driftloop.runner import outbox
from driftloop.runner.tables import reading
from services.serving import metrics
from services.serving.adapters import sql
from services.serving.domain.desired import CONVERGED, DESIRED, FAILED, DesiredRoute
from services.serving.domain.fleet import ALONE, Fleet, report
from services.serving.ports import Triton
from services.serving.route_deployer import RouteDeployer, RouteRefused

_POLL_S = 0.03
_WATCH_INTERVAL_S = 1.0
_RETRY_PAUSE_S = 0.5
_SICK_RETRY_S = 60.0


class RouteReconciler:
    """Runs in its own thread. `step` handles every loop once."""

    def __init__(
        self,
        *,
        loops: Sequence[str],
        engine: Engine,
        deployer: RouteDeployer,
        triton: Triton,
        clock: Clock,
        stop: threading.Event,
        triton_timeout_s: float,
        may_answer: Callable[[str], bool] = lambda _: True,
        fleet: Fleet = ALONE,
    ) -> None:
        self._loops = loops
        self._engine = engine
        self._deployer = deployer
        self._triton = triton
        self._clock = clock
        self._stop = stop
        self._triton_timeout_s = triton_timeout_s
        self._may_answer = may_answer
        self._fleet = fleet
        self._sick: set[str] = set()
        self._retry_s: dict[str, float] = {}
        self._tried_since: dict[str, float] = {}
        self._settled: set[str] = set()
        self._watched = float("-inf")
        self._live = False
        self._log = log.get(__name__)

    def ready(self) -> bool:
        """Return whether Triton answers and every loop's route is served, also the one that other Tritons serve."""
        return self._live and self._settled >= set(self._loops) and not self._sick

    def run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(_POLL_S if self.step() else _RETRY_PAUSE_S)

    def step(self) -> bool:
        """Handle every loop once; return whether Triton answered every call."""
        self._watch()
        return not [loop for loop in self._loops if not self._converge(loop)]

    def _watch(self) -> None:
        """Check every second whether Triton answers and still has the models."""
        now_s = self._clock.monotonic_s()
        if self._live and now_s - self._watched < _WATCH_INTERVAL_S:
            return
        self._watched = now_s
        self._live = self._triton.live()
        metrics.TRITON_LIVE.set(float(self._live))
        for loop in list(self._settled):
            if not self._live or (self._current_route(loop) and not self._loaded(loop)):
                self._settled.discard(loop)
        if not self._fleet.is_alone:
            for loop in self._loops:
                self._look_for_sickness(loop, now_s)

    def _look_for_sickness(self, loop: str, now_s: float) -> None:
        """Find out whether this Triton alone cannot serve a route; if so, try the route again after some time."""
        failed, current = self._newest_route(loop, FAILED), self._current_route(loop)
        epoch = failed.route.epoch if failed is not None else 0
        is_sick = epoch > (current.route.epoch if current is not None else 0) and self._others_serve(loop, epoch)
        metrics.SICK.set(float(is_sick), loop=loop)
        if not is_sick:
            self._sick.discard(loop)
            self._retry_s.pop(loop, None)
            return
        if loop not in self._sick:
            self._sick.add(loop)
            self._log.error("sick", loop=loop, epoch=epoch)
        if now_s >= self._retry_s.setdefault(loop, now_s + _SICK_RETRY_S):
            self._retry_s[loop] = now_s + _SICK_RETRY_S
            with self._engine.begin() as connection:
                sql.set_state(connection, loop, epoch, DESIRED)

    def _others_serve(self, loop: str, epoch: int) -> bool:
        with reading(self._engine) as connection:
            deciding = self._fleet.deciding(sql.reports(connection, loop, epoch))
        return deciding is not None and deciding.serves

    def _loaded(self, loop: str) -> bool:
        try:
            return self._triton.model_ready(loop)
        except Retriable:
            return False

    def _converge(self, loop: str) -> bool:
        try:
            if not self._may_answer(loop):
                self._stop_answering(loop)
                return True
            desired = self._newest_route(loop, DESIRED)
            if desired is not None:
                self._deploy(desired)
            elif loop not in self._settled:
                self._restore(loop)
        except Retriable as error:
            metrics.WAITS.add(loop=loop)
            self._log.warning("convergence-waits", loop=loop, problem=str(error))
            return False
        return True

    def _stop_answering(self, loop: str) -> None:
        """Unload a loop's model that this process has deployed. `_restore` loads it again."""
        if loop in self._settled:
            self._triton.unload(loop)
            self._settled.discard(loop)

    def _deploy(self, desired: DesiredRoute) -> None:
        """Deploy the newest requested route; if it is refused, restore the current one."""
        loop, epoch = desired.route.loop, desired.route.epoch
        started = self._tried_since.setdefault(f"{loop}/{epoch}", self._clock.monotonic_s())
        try:
            probe = self._deploy_with_retry(desired, started)
        except RouteRefused as refused:
            self._log.error("route-refused", loop=loop, epoch=epoch, release=refused.release_id, reason=refused.reason)
            self._fall_back(loop, epoch)
            self._end(desired, FAILED, desired.failed(refused.release_id, refused.reason))
            return
        duration_s = (self._clock.now_ms() - desired.received_wall_ms) / 1000.0
        self._end(desired, CONVERGED, desired.converged(probe, duration_s))
        self._settled.add(loop)
        metrics.EPOCH.set(epoch, loop=loop)
        metrics.CONVERGE_SECONDS.record(max(duration_s, 0.0), loop=loop)
        self._log.info("route-converged", loop=loop, epoch=epoch, duration_s=duration_s)

    def _deploy_with_retry(self, desired: DesiredRoute, started: float) -> str:
        """Deploy a route. While Triton does not answer, retry up to the time limit."""
        try:
            return self._deployer.deploy(desired)
        except Retriable as error:
            waited_s = self._clock.monotonic_s() - started
            if waited_s < self._triton_timeout_s or self._stop.is_set():
                raise
            raise RouteRefused(desired.blamed_release_id, f"after {waited_s:.0f} s: {error}") from error

    def _fall_back(self, loop: str, failed_epoch: int) -> None:
        """Serve the current route again, or nothing if there is none."""
        self._settled.discard(loop)
        try:
            current = self._current_route(loop)
            if current is None:
                self._deployer.remove(loop)
            else:
                self._deployer.deploy(current, withdraws=failed_epoch)
            self._settled.add(loop)
        except (RouteRefused, Retriable) as error:
            self._log.error("cannot-go-back", loop=loop, problem=str(error))  # `_restore` retries

    def _restore(self, loop: str) -> None:
        """Deploy the current route again after a start, or after Triton lost it."""
        current = self._current_route(loop)
        if current is not None:
            failed = self._newest_route(loop, FAILED)
            withdraws = failed.route.epoch if failed and failed.route.epoch > current.route.epoch else 0
            try:
                self._deployer.deploy(current, withdraws)
            except RouteRefused as refused:
                raise Retriable(f"the current route cannot be served: {refused}") from refused
            metrics.ROUTES.add(loop=loop, outcome="restored")
            metrics.EPOCH.set(current.route.epoch, loop=loop)
            self._log.info("route-restored", loop=loop, epoch=current.route.epoch)
        self._settled.add(loop)

    def _end(self, desired: DesiredRoute, state: str, draft: Draft) -> None:
        """Store a route's state and its event in one transaction, and pass older untried routes over.

        With several Tritons the event is a report. Its id is that of the first attempt, so a later one sends nothing.
        """
        route = desired.route
        draft = draft if self._fleet.is_alone else report(self._fleet.triton, draft)
        self._tried_since.pop(f"{route.loop}/{route.epoch}", None)
        with self._engine.begin() as connection:
            sql.mark_passed(connection, route.loop, route.epoch)
            sql.set_state(connection, route.loop, route.epoch, state)
            outbox.put(connection, [draft], source="serving", wall_time_ms=self._clock.now_ms(), cause=desired.cause)
        metrics.ROUTES.add(loop=route.loop, outcome=state)

    def _current_route(self, loop: str) -> DesiredRoute | None:
        return self._newest_route(loop, CONVERGED)

    def _newest_route(self, loop: str, state: str) -> DesiredRoute | None:
        with reading(self._engine) as connection:
            return sql.newest_route(connection, loop, state)

"""Handles lifecycle events: stores each requested route. `route_reconciler` deploys it."""

from __future__ import annotations

from collections.abc import Sequence

from driftloop.contracts import registry_pb2
from driftloop.events.envelope import Draft, Envelope
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent
from driftloop.runner.handler import HandlerTable, Transaction
from services.serving.adapters import sql
from services.serving.domain.desired import route_problems


class Handlers:
    """The handlers and their dependencies."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def route_changed(self, event: Envelope[registry_pb2.RouteChanged], tx: Transaction) -> Sequence[Draft]:
        """Store a route if its epoch is the newest, also of a loop that is left out now and may come back."""
        problems = route_problems(event.data)
        if problems:
            raise InvalidEvent("impossible-route", "; ".join(problems))
        if event.data.epoch > sql.newest_epoch(tx.connection, event.data.loop):
            sql.add_route(tx.connection, event, self._clock.now_ms())
        return []

    def table(self) -> HandlerTable:
        return {registry_pb2.RouteChanged: self.route_changed}

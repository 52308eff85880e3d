"""What the agent does on lifecycle events: it notes the route that is asked for; `convergence` makes it so."""

from __future__ import annotations

from collections.abc import Sequence

from driftloop.contracts import registry_pb2
from driftloop.events.envelope import Draft, Envelope
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent
from driftloop.runner.handler import HandlerTable, Transaction
from services.serving.adapters import sql
from services.serving.domain.desired import complaints


class Handlers:
    """Handlers with what they need of the process."""

    def __init__(self, loops: frozenset[str], clock: Clock) -> None:
        self._loops = loops
        self._clock = clock

    def route_changed(self, event: Envelope[registry_pb2.RouteChanged], tx: Transaction) -> Sequence[Draft]:
        """Note a route, unless its epoch is not newer than the newest seen or its loop is not served here."""
        if event.data.loop not in self._loops:
            return []
        problems = complaints(event.data)
        if problems:
            raise InvalidEvent("impossible-route", "; ".join(problems))
        if event.data.epoch > sql.newest_epoch(tx.connection, event.data.loop):
            sql.add_route(tx.connection, event, self._clock.now_ms())
        return []

    def table(self) -> HandlerTable:
        """Message class to handler."""
        return {registry_pb2.RouteChanged: self.route_changed}

"""Handles lifecycle events: stores each requested route, and learns that this agent was given up as a writer.

`route_reconciler` deploys the routes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from driftloop.contracts import monitoring_pb2, registry_pb2
from driftloop.events.envelope import Draft, Envelope
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent
from driftloop.runner.handler import HandlerTable, Transaction
from services.serving.adapters import sql
from services.serving.domain.desired import route_problems


class Handlers:
    """The handlers and their dependencies.

    ``give_up`` receives loop, name and start of each writer that monitoring gave up. Nothing is stored: the next
    process has another start anyway.
    """

    def __init__(self, clock: Clock, give_up: Callable[[str, str, int], None] = lambda *_: None) -> None:
        self._clock = clock
        self._give_up = give_up

    def route_changed(self, event: Envelope[registry_pb2.RouteChanged], tx: Transaction) -> Sequence[Draft]:
        """Store a route if its epoch is the newest, also of a loop that is left out now and may come back."""
        problems = route_problems(event.data)
        if problems:
            raise InvalidEvent("impossible-route", "; ".join(problems))
        if event.data.epoch > sql.newest_epoch(tx.connection, event.data.loop):
            sql.add_route(tx.connection, event, self._clock.now_ms())
        return []

    def writer_given_up(self, event: Envelope[monitoring_pb2.WriterGivenUp], _tx: Transaction) -> Sequence[Draft]:
        """Let the writer start again if it is this agent."""
        self._give_up(event.data.loop, event.data.writer, event.data.start)
        return []

    def table(self) -> HandlerTable:
        return {
            registry_pb2.RouteChanged: self.route_changed,
            monitoring_pb2.WriterGivenUp: self.writer_given_up,
        }

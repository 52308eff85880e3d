"""Handles lifecycle events.

It stores each requested route, which `route_reconciler` deploys, folds the reports of several Tritons about a route,
and learns that this agent was given up as a writer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from driftloop.contracts import monitoring_pb2, registry_pb2, serving_pb2
from driftloop.events.envelope import Draft, Envelope
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent
from driftloop.runner.handler import HandlerTable, Transaction
from services.serving.adapters import sql
from services.serving.domain.desired import route_problems
from services.serving.domain.fleet import ALONE, Fleet, verdict


class Handlers:
    """The handlers and their dependencies.

    ``give_up`` receives loop, name and start of each writer that monitoring gave up. Nothing is stored: the next
    process has another start anyway.
    """

    def __init__(
        self, clock: Clock, give_up: Callable[[str, str, int], None] = lambda *_: None, fleet: Fleet = ALONE
    ) -> None:
        self._clock = clock
        self._fleet = fleet
        self._give_up = give_up

    def route_changed(self, event: Envelope[registry_pb2.RouteChanged], tx: Transaction) -> Sequence[Draft]:
        """Store a route if its epoch is the newest, also of a loop that is left out now and may come back."""
        problems = route_problems(event.data)
        if problems:
            raise InvalidEvent("impossible-route", "; ".join(problems))
        if event.data.epoch > sql.newest_epoch(tx.connection, event.data.loop):
            sql.add_route(tx.connection, event, self._clock.now_ms())
        return []

    def route_reported(self, event: Envelope[serving_pb2.RouteReported], tx: Transaction) -> Sequence[Draft]:
        """Store a Triton's report; if it decides about the route, report that. Every agent does, under one event id."""
        report = event.data
        before = sql.reports(tx.connection, report.loop, report.epoch)
        if any(known.triton == report.triton for known in before):
            return []
        sql.add_report(tx.connection, report, len(before))
        deciding = self._fleet.deciding([*before, report])
        is_old = report.epoch < sql.newest_epoch(tx.connection, report.loop)
        if deciding is None or is_old or self._fleet.deciding(before) is not None:
            return []
        return [verdict(deciding, event.time_ms)]

    def writer_given_up(self, event: Envelope[monitoring_pb2.WriterGivenUp], _tx: Transaction) -> Sequence[Draft]:
        """Let the writer start again if it is this agent."""
        self._give_up(event.data.loop, event.data.writer, event.data.start)
        return []

    def table(self) -> HandlerTable:
        return {
            registry_pb2.RouteChanged: self.route_changed,
            monitoring_pb2.WriterGivenUp: self.writer_given_up,
            serving_pb2.RouteReported: self.route_reported,
        }

"""When a route counts as served, or as failed, by several Tritons. Pure.

Each agent reads the reports of all agents in the same order, so all come to the same result without a leader.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from driftloop.contracts import serving_pb2
from driftloop.events import ids
from driftloop.events.envelope import Draft


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many Tritons there are, which one this is, and how many must serve a route."""

    tritons: int = 1
    needed: int = 1
    triton: str = ""

    @property
    def is_alone(self) -> bool:
        return self.tritons == 1

    def deciding(self, reports: Iterable[serving_pb2.RouteReported]) -> serving_pb2.RouteReported | None:
        """Return the first report after which enough Tritons serve the route, or too many cannot; None if none is.

        ``reports``: of one route, in order. Only the first of each Triton counts.
        """
        first: dict[str, bool] = {}
        for report in reports:
            if report.triton in first:
                continue
            first[report.triton] = report.serves
            serving = sum(first.values())
            if serving >= self.needed or len(first) - serving > self.tritons - self.needed:
                return report
        return None


ALONE = Fleet()
"""The only Triton of a system. It needs no report."""


def report(triton: str, result: Draft) -> Draft:
    """Return the report of a Triton. ``result``: the `RouteConverged` or `RouteFailed` that it alone would send."""
    message = result.data
    serves = isinstance(message, serving_pb2.RouteConverged)
    fields = {field.name: value for field, value in message.ListFields()}
    data = serving_pb2.RouteReported(triton=triton, serves=serves, **fields)
    return Draft(ids.event_id("route-reported", data.loop, data.epoch, triton), data.loop, result.time_ms, data)


def verdict(deciding: serving_pb2.RouteReported, time_ms: int) -> Draft:
    """Return the event of a route that counts as served or as failed, with the values of the deciding report."""
    kind = serving_pb2.RouteConverged if deciding.serves else serving_pb2.RouteFailed
    known = kind.DESCRIPTOR.fields_by_name
    data = kind(**{field.name: value for field, value in deciding.ListFields() if field.name in known})
    name = "route-converged" if deciding.serves else "route-failed"
    return Draft(ids.event_id(name, deciding.loop, deciding.epoch), deciding.loop, time_ms, data)

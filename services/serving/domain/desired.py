"""A route that the registry requested, with its event."""

from __future__ import annotations

import re
from dataclasses import dataclass

from driftloop.contracts import registry_pb2, serving_pb2
from driftloop.events import ids
from driftloop.events.envelope import Draft, Envelope
from services.serving.domain.route import ReleaseOnRoute, Route

DESIRED, CONVERGED, FAILED, PASSED = "desired", "converged", "failed", "passed"
"""States of a route: requested, served, refused, or replaced by a newer one before it was tried."""

_PLAIN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


@dataclass(frozen=True, slots=True)
class DesiredRoute:
    """A requested route: its event and when it was received (wall time, ms)."""

    cause: Envelope[registry_pb2.RouteChanged]
    received_wall_ms: int

    @property
    def route(self) -> Route:
        data = self.cause.data
        challenger = data.challenger if data.challenger.release_id else None
        return Route(
            loop=data.loop,
            epoch=data.epoch,
            champion=_on_route(data.champion),
            challenger=_on_route(challenger) if challenger else None,
            challenger_share=data.challenger_share if challenger else 0.0,
            rollback_to=_on_route(data.rollback_to) if data.HasField("rollback_to") else None,
        )

    @property
    def blamed_release_id(self) -> str:
        """The release blamed if a failure names none: the challenger, or else the champion."""
        return self.cause.data.challenger.release_id or self.cause.data.champion.release_id

    def uri(self, release_id: str) -> str:
        refs = (self.cause.data.champion, self.cause.data.challenger)
        return next(ref.bundle.uri for ref in refs if ref.release_id == release_id)

    def converged(self, probe_prediction_id: str, duration_s: float) -> Draft:
        data = self.cause.data
        return self._draft(
            "route-converged",
            serving_pb2.RouteConverged(
                loop=data.loop,
                epoch=data.epoch,
                champion_release_id=data.champion.release_id,
                challenger_release_id=data.challenger.release_id,
                probe_prediction_id=probe_prediction_id,
                duration_s=duration_s,
            ),
        )

    def failed(self, release_id: str, reason: str) -> Draft:
        data = self.cause.data
        return self._draft(
            "route-failed",
            serving_pb2.RouteFailed(loop=data.loop, epoch=data.epoch, release_id=release_id, reason=reason),
        )

    def _draft(self, kind: str, message: serving_pb2.RouteConverged | serving_pb2.RouteFailed) -> Draft:
        data = self.cause.data
        return Draft(ids.event_id(kind, data.loop, data.epoch), data.loop, self.cause.time_ms, message)


def route_problems(data: registry_pb2.RouteChanged) -> list[str]:
    """Return why a route is invalid; empty if it is valid."""
    problems = []
    if data.epoch <= 0:
        problems.append(f"epoch is {data.epoch}; it starts at 1")
    if not 0.0 <= data.challenger_share <= 1.0:
        problems.append(f"challenger_share is {data.challenger_share}; it must be in [0, 1]")
    others = [getattr(data, role) for role in ("challenger", "rollback_to") if data.HasField(role)]
    problems += [
        f"{ref.release_id!r} is not a release id"
        for ref in (data.champion, *others)
        if not _PLAIN.match(ref.release_id)
    ]
    return problems


def _on_route(ref: registry_pb2.ReleaseRef) -> ReleaseOnRoute:
    return ReleaseOnRoute(ref.release_id, ref.bundle.digest)

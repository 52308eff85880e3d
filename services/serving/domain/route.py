"""A route: who answers a loop's predictions. Written by the agent, read by the router, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

FORMAT = 1
"""Of the route file; it is raised when what an older router makes of the file would be wrong."""


@dataclass(frozen=True, slots=True)
class ReleaseOnRoute:
    """A release by its id and its bundle's digest (sha256 of the manifest, hex)."""

    release_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Route:
    """Champion, challenger and the share of keys that the challenger answers, under an epoch that only grows."""

    loop: str
    epoch: int
    champion: ReleaseOnRoute
    challenger: ReleaseOnRoute | None = None
    challenger_share: float = 0.0
    withdraws: int = 0
    """Epoch of a failed route that this older one stands in for; 0 where it is a route of its own."""

    @property
    def releases(self) -> tuple[ReleaseOnRoute, ...]:
        """Champion and, while there is one, challenger."""
        return (self.champion,) if self.challenger is None else (self.champion, self.challenger)

    def to_json(self) -> bytes:
        """The route file."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """What the router made of the newest route file."""

    epoch: int
    """Epoch of that file."""
    error: str = ""
    """Why it does not answer by it; empty where it does."""
    release_id: str = ""
    """The release that the error is about, where it is about one."""
    serving: int = 0
    """Epoch of the route that answers; 0 while none does."""

    def to_json(self) -> bytes:
        """The status file."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def parse_route(content: bytes) -> Route:
    """Read a route file.

    Raises:
        ValueError: it is not one, or of a format that this version does not read.
    """
    try:
        data = json.loads(content)
        if (found := data.pop("format", 1)) != FORMAT:  # the first ones did not say it
            raise ValueError(f"the route has format {found}; this version reads {FORMAT}")
        data["champion"] = ReleaseOnRoute(**data["champion"])
        data["challenger"] = ReleaseOnRoute(**data["challenger"]) if data["challenger"] else None
        return Route(**data)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a route: {error!r}") from error


def parse_status(content: bytes) -> RouteStatus:
    """Read a status file.

    Raises:
        ValueError: it is not one.
    """
    try:
        return RouteStatus(**json.loads(content))
    except TypeError as error:
        raise ValueError(f"not a route status: {error!r}") from error


def is_newer(route: Route, serving: int, newest_seen: int) -> bool:
    """Whether a router at epoch ``serving`` that has seen ``newest_seen`` has to follow a route.

    An older route is followed only where it withdraws the very one that answers now.
    """
    if serving and route.withdraws == serving:
        return True
    return route.epoch > serving and route.epoch >= newest_seen

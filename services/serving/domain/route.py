"""A route: the releases that answer a loop's predictions. The agent writes it and the router reads it, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TypeVar

T = TypeVar("T")

FORMAT = 1
"""Format of the route file. Raise it when an older router would misread a new file."""


@dataclass(frozen=True, slots=True)
class ReleaseOnRoute:
    """A release id and the digest of its bundle (sha256 of the manifest, hex)."""

    release_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Route:
    """The releases of a loop, the challenger's share of keys, and the route's epoch, which only increases."""

    loop: str
    epoch: int
    champion: ReleaseOnRoute
    challenger: ReleaseOnRoute | None = None
    challenger_share: float = 0.0
    withdraws: int = 0
    """Epoch of the failed route that this older route replaces; 0 for a regular route."""
    rollback_to: ReleaseOnRoute | None = None
    """The champion that a rollback restores. It does not answer; what it reads must stay defined."""

    @property
    def releases(self) -> tuple[ReleaseOnRoute, ...]:
        """The champion, and the challenger if there is one."""
        return (self.champion,) if self.challenger is None else (self.champion, self.challenger)

    def to_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """How the router handled the newest route file."""

    epoch: int
    """Epoch in the route file."""
    error: str = ""
    """Why the router does not serve the route; empty if it does."""
    release_id: str = ""
    """The release that the error is about, if it is about one."""
    serving: int = 0
    """Epoch of the route that answers; 0 if none does."""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()


def parse_route(content: bytes) -> Route:
    """Parse a route file.

    Raises:
        ValueError: the content is not a route, or its format is unknown.
    """
    try:
        data = json.loads(content)
        if (version := data.pop("format", 1)) != FORMAT:  # the first files had no format field
            raise ValueError(f"the route has format {version}; this version reads {FORMAT}")
        data["champion"] = ReleaseOnRoute(**data["champion"])
        for role in ("challenger", "rollback_to"):
            data[role] = ReleaseOnRoute(**data[role]) if data.get(role) else None
        return _checked(Route(**data))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a route: {error!r}") from error


def parse_status(content: bytes) -> RouteStatus:
    """Parse a status file.

    Raises:
        ValueError: the content is not a route status.
    """
    try:
        return _checked(RouteStatus(**json.loads(content)))
    except TypeError as error:
        raise ValueError(f"not a route status: {error!r}") from error


def _checked(parsed: T) -> T:
    """Raise TypeError if an epoch is no number: readers compare epochs."""
    epochs = [getattr(parsed, name, 0) for name in ("epoch", "serving", "withdraws")]
    if not all(isinstance(epoch, int) for epoch in epochs):
        raise TypeError(f"epochs are {epochs}")
    return parsed


def is_newer(route: Route, serving: int, newest_seen: int) -> bool:
    """Return whether a router at epoch ``serving`` that has seen epoch ``newest_seen`` must follow a route.

    It follows an older route only if that route withdraws the one that answers now.
    """
    if serving and route.withdraws == serving:
        return True
    return route.epoch > serving and route.epoch >= newest_seen

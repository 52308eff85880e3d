"""Ports of the API: the read model and the prediction log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import Message

from driftloop.contracts import predictions_pb2 as predictions
from driftloop.events.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Stored:
    """An event with its position in the read model."""

    position: int
    event: Envelope[Any]


class Events(Protocol):
    """The read model. Lists are unordered unless an order is stated."""

    def position(self) -> int:
        """Return the greatest position of all events; 0 without events."""
        ...

    def span(self, loop: str) -> tuple[int, int]:
        """Return the smallest and the greatest position of a loop's events; 0 without events."""
        ...

    def count(self) -> int: ...

    def loops(self) -> list[str]:
        """Return loops with events, sorted."""
        ...

    def by_id(self, event_id: str) -> Stored | None: ...

    def of_chain(self, correlation_id: str) -> list[Stored]: ...

    def of_loop(self, loop: str) -> list[Stored]: ...

    def newest(self, loop: str, kind: type[Message], limit: int) -> list[Stored]:
        """Return the newest events of a message type by event time, up to ``limit``; all if it is 0."""
        ...

    def after(self, position: int, *, loop: str = "", correlation_id: str = "", limit: int) -> list[Stored]:
        """Return events after a position, sorted by position."""
        ...


class Predictions(Protocol):
    """The prediction log, by id."""

    def find(self, prediction_id: str, timeout_s: float) -> predictions.PredictionServed | None:
        """Return a prediction by its id, or the newest one by the id that its caller gave the request.

        Waits at most ``timeout_s`` until the index contains the current log.

        Raises:
            Retriable: the index did not reach it in time, or the broker did not answer.
        """
        ...

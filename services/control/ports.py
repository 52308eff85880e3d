"""What the API needs of the read model."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import Message

from driftloop.contracts import predictions_pb2 as predictions
from driftloop.events.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Stored:
    """An event, and its place in the read model."""

    position: int
    event: Envelope[Any]


class Events(Protocol):
    """The read model. Lists come in no particular order but where one is named."""

    def position(self, loop: str = "", *, but: Collection[type[Message]] = ()) -> int:
        """Greatest place of any event, or of a loop's, but for some messages; 0 where there is none."""
        ...

    def count(self) -> int:
        """How many events there are."""
        ...

    def loops(self) -> list[str]:
        """Loops that have events, sorted."""
        ...

    def by_id(self, event_id: str) -> Stored | None:
        """One event."""
        ...

    def of_chain(self, correlation_id: str) -> list[Stored]:
        """All events of a chain."""
        ...

    def of_loop(self, loop: str, *, but: Collection[type[Message]] = ()) -> list[Stored]:
        """All events of a loop, but for some messages."""
        ...

    def newest(self, loop: str, kinds: Iterable[type[Message]], limit: int) -> list[Stored]:
        """So many of the newest of each message by event time; all where 0."""
        ...

    def after(self, position: int, *, loop: str = "", correlation_id: str = "", limit: int) -> list[Stored]:
        """Events behind a place, in the order of their places."""
        ...


class Predictions(Protocol):
    """The prediction log, by id."""

    def find(self, prediction_id: str, timeout_s: float) -> predictions.PredictionServed | None:
        """A prediction; waits for the index to reach what is in the log now, for so long at most.

        Raises:
            Retriable: the index had not reached it by then, or the broker did not answer.
        """
        ...

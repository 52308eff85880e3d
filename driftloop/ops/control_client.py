"""Talks to the control service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import grpc
from google.protobuf.message import Message

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import control_api_pb2_grpc as calls
from driftloop.process.errors import DriftloopError


class NotFound(DriftloopError):
    """What was asked for is missing, malformed or unknown; the text says what there is."""


class Refused(DriftloopError):
    """The command could not be followed now; the text says why."""


class TimedOut(DriftloopError):
    """No answer came in time, or what was waited for did not happen."""


_ERRORS: dict[grpc.StatusCode, type[DriftloopError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: NotFound,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: Refused,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
}
_CALL_S = 30.0


class ControlClient:
    """Calls of `driftloop.control.v1.Control`, by their names. Its owner closes it, or uses it as a context manager."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = grpc.insecure_channel(address)
        self._stub: Any = calls.ControlStub(self._channel)

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._channel.close()

    def call(self, name: str, request: Message, timeout_s: float = _CALL_S) -> Any:
        """Ask once.

        Raises:
            NotFound: what was asked for is missing, malformed or unknown.
            Refused: the command could not be followed now.
            DriftloopError: nobody answered, or not in time.
        """
        with self._errors():
            return getattr(self._stub, name)(request, timeout=timeout_s)

    def timeline(self, request: api.StreamTimelineRequest, timeout_s: float | None = None) -> Iterator[api.Event]:
        """Events as they come; with `follow` until ``timeout_s`` is over. Raises as `call` does."""
        with self._errors():
            yield from self._stub.StreamTimeline(request, timeout=timeout_s)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            code, text = error.code(), error.details() or "no reason given"
            if code in _ERRORS:
                raise _ERRORS[code](text) from None
            if code is grpc.StatusCode.UNAVAILABLE and "read model" not in text:
                text = f"the control service does not answer at {self._address}; `driftloop status` shows what runs"
            raise DriftloopError(text) from None

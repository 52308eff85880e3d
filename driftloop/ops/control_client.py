"""Client of the control service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import grpc
from google.protobuf.message import Message

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import control_api_pb2_grpc as calls
from driftloop.contracts.message_json import STATUS_TRAILER
from driftloop.process.errors import DriftloopError


class NotFound(DriftloopError):
    """The request is incomplete or malformed, or it names something unknown; the text says what exists."""


class Refused(DriftloopError):
    """The loop cannot follow the command now; the text says why."""


class TimedOut(DriftloopError):
    """No answer came in time, or the awaited event did not happen."""


_ERRORS: dict[grpc.StatusCode, type[DriftloopError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: NotFound,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: Refused,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
}
_CALL_S = 30.0


class ControlClient:
    """Calls methods of `driftloop.control.v1.Control` by name. Close it, or use it as a context manager."""

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
        self._channel.close()

    def call(self, name: str, request: Message, timeout_s: float = _CALL_S) -> Any:
        """Call a method once and return its response.

        Raises:
            NotFound: the request is incomplete or malformed, or it names something unknown.
            Refused: the loop cannot follow the command now.
            TimedOut: no answer came in ``timeout_s`` seconds.
            DriftloopError: the service does not answer, or it is not ready.
        """
        with self._errors():
            return getattr(self._stub, name)(request, timeout=timeout_s)

    def timeline(self, request: api.StreamTimelineRequest, timeout_s: float | None = None) -> Iterator[api.Event]:
        """Yield events; with `follow` also new ones, for ``timeout_s`` seconds. Raises what `call` raises."""
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
            if code is grpc.StatusCode.UNAVAILABLE and not _is_from_service(error):
                text = f"the control service does not answer at {self._address}; `driftloop status` shows what runs"
            raise DriftloopError(text) from None


def _is_from_service(error: Any) -> bool:
    """Return whether the service itself sent the status: it then adds a trailer, which the transport does not."""
    return any(key == STATUS_TRAILER for key, _ in error.trailing_metadata() or ())

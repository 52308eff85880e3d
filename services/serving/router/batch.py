"""Checks requests and combines them. Each request is checked alone, so an invalid one does not affect the others."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftloop.events.probe import MARKER, PROBE, SECRET
from driftloop.events.time_units import problem_of_time
from services.serving.domain.loop_config import DECISION_TIME, LoopConfig

MAX_STRING_BYTES = 1024
MAX_ID_CHARACTERS = 128

Strings = list[str]
Column = NDArray[np.float64] | Strings


class BadRequest(Exception):
    """An invalid request; the message tells its caller why."""


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as Triton passes it. Each of the calls may raise for what a caller sent."""

    request_id: Callable[[], str]
    parameters: Callable[[], str]
    """Returns the request's parameters, a JSON object; empty without any."""
    tensor: Callable[[str], NDArray[Any]]
    """Returns an input by name: [n, 1] of object (bytes), int64 or float64."""


@dataclass(frozen=True, slots=True)
class RequestRows:
    """A checked request of n rows."""

    request_id: str
    probe: bool
    keys: Strings
    decision_ms: list[int]
    columns: Mapping[str, Sequence[Any]]
    """Each input's n values: str, int or float."""


@dataclass(frozen=True)
class Batch:
    """The rows of all requests that are answered together."""

    keys: Strings
    decision_ms: NDArray[np.int64]
    columns: Mapping[str, list[Any]]
    """Each input's values: str, int or float."""

    def __len__(self) -> int:
        return len(self.keys)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a numeric input, float64 [n]."""
        return np.array(self.columns[name], dtype=np.float64)


def read_request(
    raw: RawRequest, config: LoopConfig, now_ms: int, newest_ms: Callable[[], int], secret: Callable[[], str]
) -> RequestRows:
    """Check a request and return its values.

    ``newest_ms`` returns the newest watermark of the loop's features, or 0. ``secret`` returns the probe secret.

    Raises:
        BadRequest: a key is empty, a string is too long or not UTF-8, a decision time is out of range, the id is too
            long, or the request calls itself a probe without the secret.
    """
    request_id, probe = _request_id(raw), _is_probe(raw, secret)
    keys = _strings(raw, config.key)
    if not all(keys):
        raise BadRequest(f"input {config.key!r}: the prediction key of row {keys.index('')} is empty")
    if config.clock == "request":
        decision_ms = _decision_times(raw, now_ms, newest_ms, config.max_advance_ms)
    else:
        decision_ms = [now_ms] * len(keys)
    columns = {
        name: keys if name == config.key else (_strings(raw, name) if kind == "string" else _numbers(raw, name))
        for name, kind in config.inputs.items()
    }
    return RequestRows(request_id, probe, keys, decision_ms, {**columns, config.key: keys})


def concatenate(requests: Sequence[RequestRows]) -> Batch:
    """Combine the rows of all requests, in order; at least one request is required."""
    return Batch(
        keys=list(chain.from_iterable(request.keys for request in requests)),
        decision_ms=np.array([time_ms for request in requests for time_ms in request.decision_ms], dtype=np.int64),
        columns={
            name: list(chain.from_iterable(request.columns[name] for request in requests))
            for name in requests[0].columns
        },
    )


def _request_id(raw: RawRequest) -> str:
    try:
        request_id = raw.request_id()
    except UnicodeDecodeError as error:
        raise BadRequest("request id: it is not UTF-8; use printable ASCII characters") from error
    if len(request_id) > MAX_ID_CHARACTERS:
        raise BadRequest(f"request id: it has {len(request_id)} characters; use at most {MAX_ID_CHARACTERS}")
    if not (request_id.isascii() and request_id.isprintable()):
        raise BadRequest(f"request id: {request_id!r} is not printable ASCII")
    return request_id


def _is_probe(raw: RawRequest, secret: Callable[[], str]) -> bool:
    try:
        parameters = json.loads(raw.parameters() or "{}")
    except ValueError as error:  # also raised for bytes that are not UTF-8
        raise BadRequest("parameters: they are not a JSON object in UTF-8") from error
    if not isinstance(parameters, dict) or MARKER not in parameters:
        return False
    if parameters[MARKER] != PROBE:
        raise BadRequest(f"parameter {MARKER!r}: the only value is {PROBE!r}; leave it out")
    given = parameters.get(SECRET)
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), secret().encode()):
        raise BadRequest(
            f"parameter {MARKER!r}: a probe needs this system's secret in {SECRET!r}; an ordinary request has neither"
        )
    return True


def _decision_times(raw: RawRequest, now_ms: int, newest_ms: Callable[[], int], max_advance_ms: int) -> list[int]:
    values = _numbers(raw, DECISION_TIME)
    for row, value in enumerate(values):
        if problem := problem_of_time(value):
            raise BadRequest(f"input {DECISION_TIME!r}: {value} in row {row} {problem}")
    latest = max(values, default=0)
    if latest > now_ms + max_advance_ms and latest > (newest := newest_ms()) + max_advance_ms:
        raise BadRequest(
            f"input {DECISION_TIME!r}: {latest} in row {values.index(latest)} is more than max_advance "
            f"({max_advance_ms} ms) after the clock ({now_ms}) and after the loop's newest features ({newest})"
        )
    return values


def _numbers(raw: RawRequest, name: str) -> list[Any]:
    column = raw.tensor(name).ravel()
    if column.dtype.kind == "f" and np.isinf(column).any():
        raise BadRequest(f"input {name!r}: a value is infinite; send NaN for a missing number")
    values: list[Any] = column.tolist()
    return values


def _strings(raw: RawRequest, name: str) -> Strings:
    packed: list[bytes] = raw.tensor(name).ravel().tolist()
    if max(map(len, packed), default=0) > MAX_STRING_BYTES:
        raise BadRequest(f"input {name!r}: a value is longer than {MAX_STRING_BYTES} bytes")
    if any(b"\0" in value for value in packed):
        raise BadRequest(f"input {name!r}: a value has a NUL character")
    try:
        return [value.decode() for value in packed]
    except UnicodeDecodeError as error:
        raise BadRequest(f"input {name!r}: a value is not UTF-8: {error.reason}") from error

"""Checks requests and combines them. Each request is checked alone, so an invalid one does not affect the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.serving.domain.loop_config import DECISION_TIME, LoopConfig

MAX_STRING_BYTES = 1024
_LATEST_MS = 253_402_300_800_000  # the year 10000

Strings = list[str]
Column = NDArray[np.float64] | Strings


class BadRequest(Exception):
    """An invalid request; the message tells its caller why."""


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as Triton passes it."""

    request_id: str
    probe: bool
    tensor: Callable[[str], NDArray[Any]]
    """Returns an input by name: [n, 1] of object (bytes), int64 or float64."""

    def __len__(self) -> int:
        return len(self.tensor(DECISION_TIME))


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


def read_request(raw: RawRequest, config: LoopConfig, now_ms: int) -> RequestRows:
    """Check a request and return its values.

    Raises:
        BadRequest: a key is empty, a string is too long or not UTF-8, or a decision time is out of range.
    """
    keys = _strings(raw, config.key)
    if not all(keys):
        raise BadRequest(f"input {config.key!r}: the prediction key of row {keys.index('')} is empty")
    decision_ms = _decision_times(raw) if config.clock == "request" else [now_ms] * len(keys)
    columns = {
        name: keys if name == config.key else (_strings(raw, name) if kind == "string" else _numbers(raw, name))
        for name, kind in config.inputs.items()
    }
    return RequestRows(raw.request_id, raw.probe, keys, decision_ms, {**columns, config.key: keys})


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


def _decision_times(raw: RawRequest) -> list[int]:
    values = _numbers(raw, DECISION_TIME)
    for row, value in enumerate(values):
        if not 0 < value < _LATEST_MS:
            raise BadRequest(
                f"input {DECISION_TIME!r}: {value} in row {row} is not a valid time; use milliseconds since the epoch"
            )
    return values


def _numbers(raw: RawRequest, name: str) -> list[Any]:
    values: list[Any] = raw.tensor(name).ravel().tolist()
    return values


def _strings(raw: RawRequest, name: str) -> Strings:
    packed: list[bytes] = raw.tensor(name).ravel().tolist()
    if max(map(len, packed)) > MAX_STRING_BYTES:
        raise BadRequest(f"input {name!r}: a value is longer than {MAX_STRING_BYTES} bytes")
    try:
        return [value.decode() for value in packed]
    except UnicodeDecodeError as error:
        raise BadRequest(f"input {name!r}: a value is not UTF-8: {error.reason}") from error

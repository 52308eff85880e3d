"""Retry of calls to Kafka. Some errors are transient: a coordinator loads, a leader moves or is suspended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from driftloop.process.errors import Retriable

T = TypeVar("T")

_TRANSIENT = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._WAIT_COORD,
    }
)
_PERMANENT = frozenset(
    {
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.POLICY_VIOLATION,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError._BAD_MSG,
    }
)
_PAUSE_S = 0.05


def is_transient(error: KafkaError) -> bool:
    """Return whether the same call may succeed later. ``KafkaError.retriable`` misses most of these errors."""
    return error.code() in _TRANSIENT or error.retriable()


def is_permanent(error: KafkaError) -> bool:
    """Return whether the broker, or the client for it, refuses a record because of what it is."""
    return error.code() in _PERMANENT


def call_with_retry(what: str, call: Callable[[], T], timeout_s: float = 30.0) -> T:
    """Repeat a call until it raises no transient error, and return its result.

    Raises:
        Retriable: the error was still transient after ``timeout_s``.
        KafkaException: the error is not transient.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return call()
        except KafkaException as error:
            if not is_transient(error.args[0]):
                raise
            if time.monotonic() > deadline:
                raise Retriable(f"{what}: {error.args[0].str()}") from error
        time.sleep(_PAUSE_S)

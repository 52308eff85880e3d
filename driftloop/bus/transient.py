"""Kafka's errors that pass by themselves: a coordinator that loads, a leader that moves or was held still."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from driftloop.process.errors import Retriable

T = TypeVar("T")

_PASSING = frozenset(
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
_PAUSE_S = 0.05


def is_transient(error: KafkaError) -> bool:
    """Whether the same call may succeed later. The library's own mark leaves out most of these."""
    return error.code() in _PASSING or error.retriable()


def call_with_retry(what: str, call: Callable[[], T], timeout_s: float = 30.0) -> T:
    """Call until no passing error comes back.

    Raises:
        Retriable: one still did after ``timeout_s``.
        KafkaException: another error came.
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

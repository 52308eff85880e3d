from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from driftloop.bus.transient import call_with_retry, is_transient
from driftloop.process.errors import Retriable


@pytest.mark.parametrize("code", [KafkaError.FENCED_LEADER_EPOCH, KafkaError.UNKNOWN_LEADER_EPOCH])
def test_a_call_is_repeated_while_a_leader_resumes(code: int) -> None:
    refusals = [KafkaException(KafkaError(code))]

    def ask() -> int:
        if refusals:
            raise refusals.pop()
        return 7

    assert call_with_retry("offsets", ask) == 7


def test_a_lasting_transient_error_is_raised_as_retriable() -> None:
    def ask() -> int:
        raise KafkaException(KafkaError(KafkaError.FENCED_LEADER_EPOCH))

    with pytest.raises(Retriable, match="offsets"):
        call_with_retry("offsets", ask, timeout_s=0.0)


def test_a_permanent_error_is_raised_at_once() -> None:
    error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert not is_transient(error)

    def ask() -> int:
        raise KafkaException(error)

    with pytest.raises(KafkaException):
        call_with_retry("offsets", ask)

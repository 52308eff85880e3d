"""Asks monitoring to wait no longer for the predictions of a Triton."""

from __future__ import annotations

from dataclasses import replace

from driftloop.bus.ports import BatchProducer
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.events import ids
from driftloop.events.envelope import Draft, from_draft, to_record


def ask_give_up(loop: str, writer: str, who: str, why: str, producer: BatchProducer, now_ms: int) -> None:
    """Write the request to the prediction log; monitoring closes the writer there.

    Raises:
        UndeclaredTopic: the broker lacks the topic.
        Retriable: the broker did not acknowledge; the call can be repeated.
    """
    data = predictions.GiveUpAsked(loop=loop, writer=writer, who=who, why=why)
    draft = Draft(ids.event_id("predictions.give-up-asked", loop, writer, now_ms), loop, 0, data)
    event = from_draft(draft, source="up", wall_time_ms=now_ms, cause=None, traceparent=None)
    producer.send([replace(to_record(event), partition=0)])
    producer.flush()

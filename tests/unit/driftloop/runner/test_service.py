from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import insert

from driftloop.bus.ports import Outgoing, TopicPartition
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Draft, Envelope, from_draft, to_record
from driftloop.events.ids import event_id
from driftloop.process.errors import InvalidEvent, Retriable
from driftloop.runner import outbox
from driftloop.runner.handler import Transaction, of_loop
from tests.helpers.eventually import assert_eventually_async
from tests.helpers.fakes import Crash, FaultyProducer, RefusingConsumer
from tests.unit.driftloop.runner.harness import (
    CLOSED,
    DECIDED,
    NAME,
    QUICK,
    Harness,
    closed,
    decided,
    effects,
    note_and_decide,
)

LETTERS = f"{CLOSED}.dlq"


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


async def test_an_event_delivered_three_times_has_its_effect_once(harness: Harness) -> None:
    harness.send(closed(1), closed(1), closed(2), closed(1))
    await harness.run_through()
    assert harness.effects() == [closed(1).id, closed(2).id]
    assert [event.data.window_id for event in harness.published()] == ["w1", "w2"]
    assert harness.inbox_size() == 2


async def test_a_group_without_offsets_repeats_no_effect(harness: Harness) -> None:
    harness.send(closed(1), closed(2))
    await harness.run_through()
    harness.forget_commits()
    await harness.run_through()
    assert len(harness.effects()) == len(harness.published()) == 2


async def test_a_defect_in_a_handler_ends_the_service_and_is_rolled_back(harness: Harness) -> None:
    def broken(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        note_and_decide(event, tx)
        raise ZeroDivisionError

    harness.handlers = {monitoring.WindowClosed: broken}
    harness.send(closed(1))
    with pytest.raises(ZeroDivisionError):
        await harness.run_through()
    assert (harness.effects(), harness.published(), harness.inbox_size(), harness.lag()) == ([], [], 0, 1)
    harness.handlers = {monitoring.WindowClosed: note_and_decide}
    await harness.run_through()
    assert harness.effects() == [closed(1).id]


async def test_events_before_a_defect_are_not_repeated_after_the_restart(harness: Harness) -> None:
    broken = [True]

    def second_breaks(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        if event.data.window_id == "w2" and broken:
            raise ZeroDivisionError
        return note_and_decide(event, tx)

    harness.handlers = {monitoring.WindowClosed: second_breaks}
    harness.send(closed(1), closed(2), closed(3))
    with pytest.raises(ZeroDivisionError):
        await harness.run_through()
    broken.clear()
    await harness.run_through()
    assert harness.effects() == [closed(n).id for n in (1, 2, 3)]
    assert [event.data.window_id for event in harness.published()] == ["w1", "w2", "w3"]


async def test_a_publication_running_at_a_defect_is_marked_as_sent(harness: Harness) -> None:
    def second_breaks(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        if event.data.window_id == "w2":
            raise ZeroDivisionError
        return note_and_decide(event, tx)

    class AcknowledgedLate:
        """Writes at once and returns when the service is ending."""

        inner = harness.broker.lifecycle_producer()

        async def start(self) -> None:
            await self.inner.start()

        async def send(self, records: Sequence[Outgoing]) -> None:
            await self.inner.send(records)
            await assert_eventually_async(ending, say="the service's end")

        async def stop(self) -> None:
            await self.inner.stop()

    async def ending() -> bool:
        return not service.ready()

    harness.handlers = {monitoring.WindowClosed: second_breaks}
    harness.producer = AcknowledgedLate()
    service = harness.service()
    harness.send(closed(1), closed(2))
    with pytest.raises(ZeroDivisionError):
        await service.run()
    harness.producer = None
    harness.handlers = {monitoring.WindowClosed: note_and_decide}
    await harness.run_through()
    assert [event.data.window_id for event in harness.published()] == ["w1", "w2"]


async def test_a_crash_between_the_commit_and_the_publication_publishes_after_the_restart(harness: Harness) -> None:
    harness.producer = FaultyProducer(harness.broker.lifecycle_producer(), [Crash()])
    harness.send(closed(1))
    with pytest.raises(Crash):
        await harness.run_through()
    assert (len(harness.effects()), harness.published(), harness.lag()) == (1, [], 1)
    harness.producer = None
    await harness.run_through()
    assert (len(harness.effects()), len(harness.published())) == (1, 1)


async def test_a_crash_right_after_the_publication_publishes_twice_and_counts_once(
    harness: Harness, tmp_path: Path
) -> None:
    harness.producer = FaultyProducer(harness.broker.lifecycle_producer(), [Crash()], after_writing=True)
    harness.send(closed(1))
    with pytest.raises(Crash):
        await harness.run_through()
    harness.producer = None
    await harness.run_through()
    first, second = harness.published()
    assert first == second

    def note(event: Envelope[monitoring.WindowDecided], tx: Transaction) -> Sequence[Draft]:
        tx.connection.execute(insert(effects).values(event_id=event.id))
        return []

    folder = tmp_path / "downstream"
    folder.mkdir()
    downstream = Harness(folder, {monitoring.WindowDecided: note}, harness.broker)
    await downstream.run_through()
    assert downstream.effects() == [first.id]


async def test_a_broker_that_does_not_answer_delays_events_but_loses_none(harness: Harness) -> None:
    harness.producer = faulty = FaultyProducer(harness.broker.lifecycle_producer(), [Retriable("no answer")] * 2)
    harness.send(closed(1), closed(2))
    await harness.run_through()
    assert [event.data.window_id for event in harness.published()] == ["w1", "w2"]
    assert faulty.faults == []


async def test_an_offset_is_committed_only_after_its_events_are_published(harness: Harness) -> None:
    harness.producer = faulty = FaultyProducer(harness.broker.lifecycle_producer(), [Retriable("no answer")] * 10_000)
    harness.send(closed(1))
    await harness.run_until(lambda: faulty.calls > 1)
    assert (len(harness.effects()), harness.published(), harness.lag()) == (1, [], 1)
    faulty.faults.clear()
    await harness.run_through()
    assert len(harness.published()) == 1


async def test_a_refused_commit_is_no_defect(harness: Harness) -> None:
    harness.consumer = refusing = RefusingConsumer(harness.broker.lifecycle_consumer([CLOSED], NAME))
    harness.send(closed(1))
    await harness.run_until(lambda: refusing.refusals == 0)
    assert harness.lag() == 1
    harness.send(closed(2))
    await harness.run_through()
    assert harness.effects() == [closed(1).id, closed(2).id]


async def test_a_retriable_event_is_retried_before_the_next(harness: Harness) -> None:
    tries = 0

    def third_time(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        nonlocal tries
        drafts = note_and_decide(event, tx)
        tries += 1
        if tries < 3:
            raise Retriable("not yet")
        return drafts

    harness.handlers = {monitoring.WindowClosed: third_time}
    harness.send(closed(1), closed(2))
    await harness.run_through()
    assert harness.effects() == [closed(1).id, closed(2).id]
    assert tries == 4


async def test_a_retriable_event_ends_the_service_at_the_retry_limit(harness: Harness) -> None:
    tries = 0

    def never(_event: Envelope[monitoring.WindowClosed], _tx: Transaction) -> Sequence[Draft]:
        nonlocal tries
        tries += 1
        raise Retriable("not yet")

    harness.handlers = {monitoring.WindowClosed: never}
    harness.patience = dataclasses.replace(QUICK, retry_limit=4)
    harness.send(closed(1))
    with pytest.raises(Retriable, match=f"{CLOSED}/0/0 failed in all 4 attempts"):
        await harness.run_through()
    assert (tries, harness.lag()) == (4, 1)


async def test_a_service_stops_between_two_attempts(harness: Harness) -> None:
    trying = threading.Event()

    def never(_event: Envelope[monitoring.WindowClosed], _tx: Transaction) -> Sequence[Draft]:
        trying.set()
        raise Retriable("not yet")

    harness.handlers = {monitoring.WindowClosed: never}
    harness.patience = dataclasses.replace(QUICK, retry_limit=1_000_000)
    harness.send(closed(1))
    await harness.run_until(trying.is_set)
    assert harness.lag() == 1


async def test_a_service_is_ready_while_it_consumes(harness: Harness) -> None:
    service = harness.service()
    assert not service.ready()
    running = asyncio.create_task(service.run())

    async def ready() -> bool:
        return service.ready()

    await assert_eventually_async(ready)
    harness.stop.set()
    await running
    assert not service.ready()


async def test_an_invalid_event_becomes_a_dead_letter_and_the_next_is_handled(harness: Harness) -> None:
    def refuse_first(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        drafts = note_and_decide(event, tx)
        if event.data.window_id == "w1":
            raise InvalidEvent("unknown-loop", "no such loop")
        return drafts

    harness.handlers = {monitoring.WindowClosed: refuse_first}
    sent = to_record(closed(1))
    harness.broker.append([sent])
    harness.send(closed(2))
    await harness.run_through()
    assert harness.effects() == [closed(2).id]
    [letter] = harness.broker.records(LETTERS)
    assert (letter.key, letter.value) == (sent.key, sent.value)
    assert letter.headers[: len(sent.headers)] == sent.headers
    why = {name: value.decode() for name, value in letter.headers if name.startswith("dlq-")}
    assert "refuse_first" in why.pop("dlq-stack")
    assert why == {
        "dlq-consumer": NAME,
        "dlq-reason": "unknown-loop",
        "dlq-detail": "no such loop",
        "dlq-sha256": hashlib.sha256(sent.value or b"").hexdigest(),
        "dlq-source": f"{CLOSED}/0/0",
    }


async def test_an_event_of_a_loop_that_runs_elsewhere_is_skipped_and_the_next_is_handled(harness: Harness) -> None:
    def skip_first(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        drafts = note_and_decide(event, tx)
        if event.data.window_id == "w1":
            of_loop({}, "elsewhere")
        return drafts

    harness.handlers = {monitoring.WindowClosed: skip_first}
    harness.send(closed(1), closed(2))
    await harness.run_through()
    assert harness.effects() == [closed(2).id]
    assert harness.broker.records(LETTERS) == []


@pytest.mark.parametrize("value", [b"\xff\xff\xff", b"", None])
async def test_bytes_that_are_not_an_event_become_a_dead_letter(harness: Harness, value: bytes | None) -> None:
    sent = to_record(closed(1))
    harness.broker.append([dataclasses.replace(sent, value=value), Outgoing(CLOSED, None)])
    await harness.run_through()
    assert [record.value for record in harness.broker.records(LETTERS)] == [value, None]
    assert harness.effects() == []


async def test_a_dead_letter_refused_by_the_broker_is_sent_again(harness: Harness) -> None:
    harness.producer = FaultyProducer(harness.broker.lifecycle_producer(), [Retriable("no answer")] * 2)
    harness.broker.append([Outgoing(CLOSED, b"poison")])
    await harness.run_through()
    assert [record.value for record in harness.broker.records(LETTERS)] == [b"poison"]


async def test_any_number_of_dead_letters_does_not_stop_other_events(harness: Harness) -> None:
    harness.broker.append([Outgoing(CLOSED, b"poison")] * 60)
    harness.send(closed(1))
    await harness.run_through()
    assert len(harness.broker.records(LETTERS)) == 60
    assert len(harness.effects()) == 1


async def test_an_answer_names_its_cause_and_stays_in_its_chain(harness: Harness) -> None:
    root = dataclasses.replace(closed(1), traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    harness.send(root)
    await harness.run_through()
    [answer] = harness.published()
    assert root.correlation_id == root.id
    assert root.causation_id is None
    assert (answer.correlation_id, answer.causation_id) == (root.id, root.id)
    assert (answer.time_ms, answer.wall_time_ms) == (root.time_ms, harness.clock.wall_ms)
    assert answer.source == f"/driftloop/{NAME}"
    assert (answer.traceparent or "")[3:35] == (root.traceparent or "")[3:35]


async def test_an_answer_in_another_chain_has_the_cause_that_the_handler_names(harness: Harness) -> None:
    def other_chain(event: Envelope[monitoring.WindowClosed], _tx: Transaction) -> Sequence[Draft]:
        return [dataclasses.replace(decided(event), chain="the release's chain", cause_id="its stage")]

    harness.handlers = {monitoring.WindowClosed: other_chain}
    harness.send(closed(1))
    await harness.run_through()
    [answer] = harness.published()
    assert (answer.correlation_id, answer.causation_id) == ("the release's chain", "its stage")


async def test_many_answers_are_published_in_the_order_in_which_the_handler_gave_them(harness: Harness) -> None:
    def many(event: Envelope[monitoring.WindowClosed], _tx: Transaction) -> Sequence[Draft]:
        return [
            Draft(f"{event.id}-{n}", event.loop, n, monitoring.WindowDecided(loop=event.loop, window_id=f"{n}"))
            for n in range(450)
        ]

    harness.handlers = {monitoring.WindowClosed: many}
    harness.send(closed(1), closed(2))
    await harness.run_through()
    assert [event.data.window_id for event in harness.published()] == [str(n) for n in range(450)] * 2


async def test_an_answer_with_an_id_that_was_sent_is_not_sent_again(harness: Harness) -> None:
    def same_answer(event: Envelope[monitoring.WindowClosed], _tx: Transaction) -> Sequence[Draft]:
        data = monitoring.WindowDecided(loop=event.loop, window_id="once")
        return [Draft("the only id", event.loop, event.time_ms, data)]

    harness.handlers = {monitoring.WindowClosed: same_answer}
    harness.send(closed(1), closed(2))
    await harness.run_through()
    assert [event.causation_id for event in harness.published()] == [closed(1).id]
    assert harness.inbox_size() == 2


async def test_events_of_a_worker_are_published_without_incoming_events(harness: Harness) -> None:
    data = training.ReasonCoalesced(loop="orders")
    draft = Draft(event_id("worker", 1), "orders", 7, data)

    def put_once() -> bool:
        with harness.engine.begin() as connection:
            outbox.put(connection, [draft], source=NAME, wall_time_ms=1, cause=None)
        return bool(harness.broker.records("training.reason-coalesced.v1"))

    await harness.run_until(put_once)
    [event] = harness.published("training.reason-coalesced.v1")
    assert (event.id, event.correlation_id, event.causation_id) == (draft.id, draft.id, None)


async def test_messages_without_a_handler_are_skipped(harness: Harness) -> None:
    def note(event: Envelope[predictions.PredictionWatermark], tx: Transaction) -> Sequence[Draft]:
        tx.connection.execute(insert(effects).values(event_id=event.id))
        return []

    harness.handlers = {predictions.PredictionWatermark: note}
    served = predictions.PredictionServed(loop="orders", prediction_id="p")
    marks = predictions.PredictionWatermark(loop="orders", watermark_ms=1)
    events = [
        from_draft(Draft(name, "orders", 0, data), source="serving", wall_time_ms=0, cause=None, traceparent=None)
        for name, data in (("served", served), ("mark", marks))
    ]
    harness.send(*events)
    await harness.run_through()
    assert harness.effects() == ["mark"]
    assert harness.inbox_size() == 1
    assert harness.broker.records("predictions.served.v1.dlq") == []


async def test_a_service_starts_where_its_group_committed(harness: Harness) -> None:
    harness.send(closed(1), closed(2))
    harness.broker.batch_consumer([CLOSED], NAME).commit({TopicPartition(CLOSED, 0): 1})
    await harness.run_through()
    assert harness.effects() == [closed(2).id]
    assert len(harness.broker.records(DECIDED)) == 1

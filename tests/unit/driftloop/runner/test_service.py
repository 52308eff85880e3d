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
from driftloop.process.errors import InvalidEvent, Retriable, TooManyDeadLetters
from driftloop.runner import outbox
from driftloop.runner.handler import Transaction
from tests.helpers.eventually import assert_eventually_async
from tests.helpers.fakes import Crash, FaultyProducer, RefusingConsumer
from tests.unit.driftloop.runner.rig import CLOSED, DECIDED, NAME, QUICK, Rig, closed, decided, effects, note_and_decide

LETTERS = f"{CLOSED}.dlq"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_an_event_that_comes_three_times_has_its_effect_once(rig: Rig) -> None:
    rig.send(closed(1), closed(1), closed(2), closed(1))
    await rig.run_through()
    assert rig.effects() == [closed(1).id, closed(2).id]
    assert [each.data.window_id for each in rig.published()] == ["w1", "w2"]
    assert rig.inbox_size() == 2


async def test_a_group_that_lost_its_offsets_repeats_nothing(rig: Rig) -> None:
    rig.send(closed(1), closed(2))
    await rig.run_through()
    rig.forget_commits()
    await rig.run_through()
    assert len(rig.effects()) == len(rig.published()) == 2


async def test_a_defect_in_a_handler_ends_the_service_and_leaves_nothing_behind(rig: Rig) -> None:
    def broken(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        note_and_decide(event, tx)
        raise ZeroDivisionError

    rig.handlers = {monitoring.WindowClosed: broken}
    rig.send(closed(1))
    with pytest.raises(ZeroDivisionError):
        await rig.run_through()
    assert (rig.effects(), rig.published(), rig.inbox_size(), rig.lag()) == ([], [], 0, 1)
    rig.handlers = {monitoring.WindowClosed: note_and_decide}
    await rig.run_through()
    assert rig.effects() == [closed(1).id]


async def test_events_before_a_defect_are_not_repeated_after_the_restart(rig: Rig) -> None:
    broken = [True]

    def second_breaks(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        if event.data.window_id == "w2" and broken:
            raise ZeroDivisionError
        return note_and_decide(event, tx)

    rig.handlers = {monitoring.WindowClosed: second_breaks}
    rig.send(closed(1), closed(2), closed(3))
    with pytest.raises(ZeroDivisionError):
        await rig.run_through()
    broken.clear()
    await rig.run_through()
    assert rig.effects() == [closed(n).id for n in (1, 2, 3)]
    assert [each.data.window_id for each in rig.published()] == ["w1", "w2", "w3"]


async def test_a_publication_under_way_at_a_defect_is_noted_as_sent(rig: Rig) -> None:
    def second_breaks(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        if event.data.window_id == "w2":
            raise ZeroDivisionError
        return note_and_decide(event, tx)

    class AcknowledgedLate:
        """Writes at once and returns when the service is ending."""

        inner = rig.broker.lifecycle_producer()

        async def start(self) -> None:
            await self.inner.start()

        async def send(self, records: Sequence[Outgoing]) -> None:
            await self.inner.send(records)
            await assert_eventually_async(ending, say="the service's end")

        async def stop(self) -> None:
            await self.inner.stop()

    async def ending() -> bool:
        return not service.ready()

    rig.handlers = {monitoring.WindowClosed: second_breaks}
    rig.producer = AcknowledgedLate()
    service = rig.service()
    rig.send(closed(1), closed(2))
    with pytest.raises(ZeroDivisionError):
        await service.run()
    rig.producer = None
    rig.handlers = {monitoring.WindowClosed: note_and_decide}
    await rig.run_through()
    assert [each.data.window_id for each in rig.published()] == ["w1", "w2"]


async def test_a_crash_between_the_commit_and_the_publication_publishes_after_the_restart(rig: Rig) -> None:
    rig.producer = FaultyProducer(rig.broker.lifecycle_producer(), [Crash()])
    rig.send(closed(1))
    with pytest.raises(Crash):
        await rig.run_through()
    assert (len(rig.effects()), rig.published(), rig.lag()) == (1, [], 1)
    rig.producer = None
    await rig.run_through()
    assert (len(rig.effects()), len(rig.published())) == (1, 1)


async def test_a_crash_right_after_the_publication_publishes_twice_and_counts_once(rig: Rig, tmp_path: Path) -> None:
    rig.producer = FaultyProducer(rig.broker.lifecycle_producer(), [Crash()], after_writing=True)
    rig.send(closed(1))
    with pytest.raises(Crash):
        await rig.run_through()
    rig.producer = None
    await rig.run_through()
    first, second = rig.published()
    assert first == second

    def note(event: Envelope[monitoring.WindowDecided], tx: Transaction) -> Sequence[Draft]:
        tx.connection.execute(insert(effects).values(event_id=event.id))
        return []

    folder = tmp_path / "downstream"
    folder.mkdir()
    downstream = Rig(folder, {monitoring.WindowDecided: note}, rig.broker)
    await downstream.run_through()
    assert downstream.effects() == [first.id]


async def test_a_broker_that_does_not_answer_delays_and_loses_nothing(rig: Rig) -> None:
    rig.producer = faulty = FaultyProducer(rig.broker.lifecycle_producer(), [Retriable("no answer")] * 2)
    rig.send(closed(1), closed(2))
    await rig.run_through()
    assert [each.data.window_id for each in rig.published()] == ["w1", "w2"]
    assert faulty.faults == []


async def test_an_offset_is_committed_only_after_its_events_are_published(rig: Rig) -> None:
    rig.producer = faulty = FaultyProducer(rig.broker.lifecycle_producer(), [Retriable("no answer")] * 10_000)
    rig.send(closed(1))
    await rig.run_until(lambda: faulty.calls > 1)
    assert (len(rig.effects()), rig.published(), rig.lag()) == (1, [], 1)
    faulty.faults.clear()
    await rig.run_through()
    assert len(rig.published()) == 1


async def test_a_refused_commit_is_no_defect(rig: Rig) -> None:
    rig.consumer = refusing = RefusingConsumer(rig.broker.lifecycle_consumer([CLOSED], NAME))
    rig.send(closed(1))
    await rig.run_until(lambda: refusing.refusals == 0)
    assert rig.lag() == 1
    rig.send(closed(2))
    await rig.run_through()
    assert rig.effects() == [closed(1).id, closed(2).id]


async def test_an_event_that_cannot_be_handled_now_is_tried_again_before_the_next(rig: Rig) -> None:
    tries = 0

    def third_time(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        nonlocal tries
        drafts = note_and_decide(event, tx)
        tries += 1
        if tries < 3:
            raise Retriable("not yet")
        return drafts

    rig.handlers = {monitoring.WindowClosed: third_time}
    rig.send(closed(1), closed(2))
    await rig.run_through()
    assert rig.effects() == [closed(1).id, closed(2).id]
    assert tries == 4


async def test_an_event_that_can_never_be_handled_now_ends_the_service_at_its_limit(rig: Rig) -> None:
    tries = 0

    def never(_event: Envelope[monitoring.WindowClosed], _tx: Transaction) -> Sequence[Draft]:
        nonlocal tries
        tries += 1
        raise Retriable("not yet")

    rig.handlers = {monitoring.WindowClosed: never}
    rig.patience = dataclasses.replace(QUICK, retry_limit=4)
    rig.send(closed(1))
    with pytest.raises(Retriable, match=f"{CLOSED}/0/0 still cannot be handled after 4 tries"):
        await rig.run_through()
    assert (tries, rig.lag()) == (4, 1)


async def test_a_service_stops_between_two_tries(rig: Rig) -> None:
    trying = threading.Event()

    def never(_event: Envelope[monitoring.WindowClosed], _tx: Transaction) -> Sequence[Draft]:
        trying.set()
        raise Retriable("not yet")

    rig.handlers = {monitoring.WindowClosed: never}
    rig.patience = dataclasses.replace(QUICK, retry_limit=1_000_000)
    rig.send(closed(1))
    await rig.run_until(trying.is_set)
    assert rig.lag() == 1


async def test_a_service_is_ready_while_it_consumes(rig: Rig) -> None:
    service = rig.service()
    assert not service.ready()
    running = asyncio.create_task(service.run())

    async def ready() -> bool:
        return service.ready()

    await assert_eventually_async(ready)
    rig.stop.set()
    await running
    assert not service.ready()


async def test_an_invalid_event_becomes_a_dead_letter_and_the_next_is_handled(rig: Rig) -> None:
    def refuse_first(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        drafts = note_and_decide(event, tx)
        if event.data.window_id == "w1":
            raise InvalidEvent("unknown-loop", "no such loop")
        return drafts

    rig.handlers = {monitoring.WindowClosed: refuse_first}
    sent = to_record(closed(1))
    rig.broker.append([sent])
    rig.send(closed(2))
    await rig.run_through()
    assert rig.effects() == [closed(2).id]
    [letter] = rig.broker.records(LETTERS)
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


@pytest.mark.parametrize("value", [b"\xff\xff\xff", b"", None])
async def test_bytes_that_are_no_event_become_a_dead_letter(rig: Rig, value: bytes | None) -> None:
    sent = to_record(closed(1))
    rig.broker.append([dataclasses.replace(sent, value=value), Outgoing(CLOSED, None)])
    await rig.run_through()
    assert [each.value for each in rig.broker.records(LETTERS)] == [value, None]
    assert rig.effects() == []


async def test_a_dead_letter_that_the_broker_does_not_take_at_first_is_not_lost(rig: Rig) -> None:
    rig.producer = FaultyProducer(rig.broker.lifecycle_producer(), [Retriable("no answer")] * 2)
    rig.broker.append([Outgoing(CLOSED, b"poison")])
    await rig.run_through()
    assert [each.value for each in rig.broker.records(LETTERS)] == [b"poison"]


async def test_more_dead_letters_in_a_row_than_the_limit_end_the_service(rig: Rig) -> None:
    rig.broker.append([Outgoing(CLOSED, b"poison")] * 5)
    with pytest.raises(TooManyDeadLetters, match="4 dead letters in a row, the last for missing-header"):
        await rig.run_through()
    assert len(rig.broker.records(LETTERS)) == 4


async def test_an_accepted_event_starts_the_count_of_dead_letters_again(rig: Rig) -> None:
    for number in range(3):
        rig.broker.append([Outgoing(CLOSED, b"poison")] * 3)
        rig.send(closed(number))
    await rig.run_through()
    assert len(rig.broker.records(LETTERS)) == 9
    assert len(rig.effects()) == 3


async def test_an_answer_names_its_cause_and_stays_in_its_chain(rig: Rig) -> None:
    root = dataclasses.replace(closed(1), traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    rig.send(root)
    await rig.run_through()
    [answer] = rig.published()
    assert root.correlation_id == root.id
    assert root.causation_id is None
    assert (answer.correlation_id, answer.causation_id) == (root.id, root.id)
    assert (answer.time_ms, answer.wall_time_ms) == (root.time_ms, rig.clock.wall_ms)
    assert answer.source == f"/driftloop/{NAME}"
    assert (answer.traceparent or "")[3:35] == (root.traceparent or "")[3:35]


async def test_an_answer_in_another_chain_has_the_cause_that_the_handler_names(rig: Rig) -> None:
    def other_chain(event: Envelope[monitoring.WindowClosed], _tx: Transaction) -> Sequence[Draft]:
        return [dataclasses.replace(decided(event), chain="the release's chain", cause_id="its stage")]

    rig.handlers = {monitoring.WindowClosed: other_chain}
    rig.send(closed(1))
    await rig.run_through()
    [answer] = rig.published()
    assert (answer.correlation_id, answer.causation_id) == ("the release's chain", "its stage")


async def test_many_answers_are_published_in_the_order_in_which_the_handler_gave_them(rig: Rig) -> None:
    def many(event: Envelope[monitoring.WindowClosed], _tx: Transaction) -> Sequence[Draft]:
        return [
            Draft(f"{event.id}-{n}", event.loop, n, monitoring.WindowDecided(loop=event.loop, window_id=f"{n}"))
            for n in range(450)
        ]

    rig.handlers = {monitoring.WindowClosed: many}
    rig.send(closed(1), closed(2))
    await rig.run_through()
    assert [each.data.window_id for each in rig.published()] == [str(n) for n in range(450)] * 2


async def test_an_answer_with_an_id_that_was_sent_is_not_sent_again(rig: Rig) -> None:
    def same_answer(event: Envelope[monitoring.WindowClosed], _tx: Transaction) -> Sequence[Draft]:
        data = monitoring.WindowDecided(loop=event.loop, window_id="once")
        return [Draft("the only id", event.loop, event.time_ms, data)]

    rig.handlers = {monitoring.WindowClosed: same_answer}
    rig.send(closed(1), closed(2))
    await rig.run_through()
    assert [each.causation_id for each in rig.published()] == [closed(1).id]
    assert rig.inbox_size() == 2


async def test_what_a_worker_puts_in_the_outbox_is_published_though_no_event_comes(rig: Rig) -> None:
    data = training.ReasonCoalesced(loop="orders")
    draft = Draft(event_id("worker", 1), "orders", 7, data)

    def put_once() -> bool:
        with rig.engine.begin() as connection:
            outbox.put(connection, [draft], source=NAME, wall_time_ms=1, cause=None)
        return bool(rig.broker.records("training.reason-coalesced.v1"))

    await rig.run_until(put_once)
    [event] = rig.published("training.reason-coalesced.v1")
    assert (event.id, event.correlation_id, event.causation_id) == (draft.id, draft.id, None)


async def test_other_messages_of_a_topic_are_passed_over(rig: Rig) -> None:
    def note(event: Envelope[predictions.PredictionWatermark], tx: Transaction) -> Sequence[Draft]:
        tx.connection.execute(insert(effects).values(event_id=event.id))
        return []

    rig.handlers = {predictions.PredictionWatermark: note}
    served = predictions.PredictionServed(loop="orders", prediction_id="p")
    marks = predictions.PredictionWatermark(loop="orders", watermark_ms=1)
    events = [
        from_draft(Draft(name, "orders", 0, data), source="serving", wall_time_ms=0, cause=None, traceparent=None)
        for name, data in (("served", served), ("mark", marks))
    ]
    rig.send(*events)
    await rig.run_through()
    assert rig.effects() == ["mark"]
    assert rig.inbox_size() == 1
    assert rig.broker.records("predictions.served.v1.dlq") == []


async def test_a_service_starts_where_its_group_committed(rig: Rig) -> None:
    rig.send(closed(1), closed(2))
    rig.broker.batch_consumer([CLOSED], NAME).commit({TopicPartition(CLOSED, 0): 1})
    await rig.run_through()
    assert rig.effects() == [closed(2).id]
    assert len(rig.broker.records(DECIDED)) == 1

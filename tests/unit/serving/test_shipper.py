import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from driftloop.bus.partition import partition_of
from driftloop.bus.ports import Outgoing, RecordsRefused, TopicPartition
from driftloop.contracts import features_pb2, predictions_pb2
from driftloop.contracts.topics import message_class, topic_of
from driftloop.events import ids
from driftloop.events.envelope import Envelope, from_record, headers_of
from driftloop.ops.dlq.read import parse_dead_letters
from driftloop.process.errors import Retriable
from services.serving.adapters.spool_reader import SpoolReader
from services.serving.log_writers import LogWriters
from services.serving.router.spool import SpoolWriter, segments
from services.serving.shipper import TOPIC, Shipper, shipper_loop
from tests.helpers.clock import FakeClock
from tests.helpers.memory_broker import MemoryBatchProducer, MemoryBroker
from tests.unit.serving.fakes import MemoryPositions, MemoryStarts
from tests.unit.serving.harness import LOOP, T0

WATERMARKS = "features.watermark-advanced.v1"


class UnreliableProducer(MemoryBatchProducer):
    """Accepts records; acknowledges them only while `acknowledges` is set. Refuses batches with a record too long."""

    acknowledges = True
    longest = 10_000_000

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.refused: list[Outgoing] = []

    def send(self, records: Sequence[Outgoing]) -> None:
        if any(_size(record) > self.longest for record in records):
            self.refused += records
        else:
            super().send(records)

    def flush(self, timeout_s: float = 30.0) -> None:
        refused, self.refused = self.refused, []
        if not self.acknowledges:
            raise Retriable("no acknowledgement")
        if refused:
            raise RecordsRefused([(record, "Broker: Message size too large") for record in refused])


def _size(record: Outgoing) -> int:
    return len(record.value or b"") + sum(len(value) for _, value in record.headers)


@dataclass
class World:
    """A broker, a spool and a shipper from the spool to the broker."""

    folder: Path
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    positions: MemoryPositions = field(default_factory=MemoryPositions)
    starts: MemoryStarts = field(default_factory=MemoryStarts)
    stop: threading.Event = field(default_factory=threading.Event)
    name: str = ""

    def __post_init__(self) -> None:
        self.broker.create_topic(TOPIC, 2)
        self.broker.create_topic(f"{TOPIC}.dlq", 1)
        self.broker.create_topic(WATERMARKS, 1)
        self.broker.create_topic(f"{WATERMARKS}.dlq", 1)
        self.producer = UnreliableProducer(self.broker)
        self.spool = SpoolReader(self.folder, LOOP)
        self.writer = SpoolWriter(self.folder, segment_bytes=200)
        self.restart()

    def restart(self) -> None:
        clock = FakeClock(wall_ms=1, tick_s=0.0001)
        self.writers = LogWriters(self.name, [LOOP], self.starts, clock)
        self.shipper = shipper_loop(
            {LOOP: self.spool},
            self.positions,
            self.writers,
            self.broker.batch_consumer([WATERMARKS], "serving-shipper"),
            self.producer,
            clock,
            self.stop,
        )

    def serve(self, *keys: str) -> None:
        self.writer.write([prediction(key).SerializeToString() for key in keys])

    def advance(self, watermark_ms: int, loop: str = LOOP) -> None:
        data = features_pb2.WatermarkAdvanced(loop=loop, watermark_ms=watermark_ms)
        event = Envelope(f"w-{watermark_ms}", "/f", data.DESCRIPTOR.full_name, loop, 0, 0, "c", None, None, data)
        self.broker.append([Outgoing(WATERMARKS, data.SerializeToString(), b"k", headers_of(event))])  # type: ignore[arg-type]

    def log(self) -> dict[int, list[str | int]]:
        """Return the prediction ids and watermarks of each partition, in order."""
        return {
            partition: [
                data.prediction_id if isinstance(data, predictions_pb2.PredictionServed) else data.watermark_ms
                for data in messages
                if isinstance(data, predictions_pb2.PredictionServed | predictions_pb2.PredictionWatermark)
            ]
            for partition, messages in self.messages().items()
        }

    def messages(self) -> dict[int, list[Any]]:
        """Return all messages of each partition, in order."""
        messages: dict[int, list[Any]] = {0: [], 1: []}
        kinds = [message_class(name) for name in topic_of(predictions_pb2.PredictionServed).messages]
        for record in self.broker.records(TOPIC):
            messages[record.partition].append(from_record(record, kinds).data)
        return messages

    def shipped(self) -> list[str]:
        return sorted(entry for partition in self.log().values() for entry in partition if isinstance(entry, str))


def prediction(key: str) -> predictions_pb2.PredictionServed:
    return predictions_pb2.PredictionServed(
        loop=LOOP, prediction_id=f"id-{key}", key=key, decision_time_ms=T0, release_id="r-a", arm="champion"
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_predictions_are_sent_to_the_partition_of_their_key(world: World) -> None:
    keys = [f"k{n}" for n in range(20)]
    world.serve(*keys)
    world.shipper.step()
    assert len(world.shipped()) == 20
    for partition in (0, 1):
        expected = [f"id-{key}" for key in keys if partition_of(key.encode(), 2) == partition]
        assert world.log()[partition] == expected


def test_a_record_carries_its_prediction_as_cloudevent(world: World) -> None:
    world.serve("k")
    world.shipper.step()
    [record] = [record for record in world.broker.records(TOPIC) if record.key == b"k"]
    event = from_record(record, [predictions_pb2.PredictionServed])
    assert (event.id, event.correlation_id, event.time_ms, event.loop) == ("id-k", "id-k", T0, LOOP)
    assert event.data == prediction("k")


def test_without_failures_nothing_is_shipped_twice(world: World) -> None:
    world.serve("a")
    world.shipper.step()
    world.serve("b")
    world.shipper.step()
    world.restart()
    world.shipper.step()
    assert world.shipped() == ["id-a", "id-b"]


def test_shipped_segments_are_deleted(world: World) -> None:
    for n in range(20):
        world.serve(f"k{n}", f"l{n}")
    assert len(segments(world.folder)) > 5
    world.shipper.step()
    assert len(segments(world.folder)) == 1
    assert list(world.positions.load(LOOP)) == segments(world.folder)


def test_a_watermark_follows_every_prediction_in_every_partition(world: World) -> None:
    world.serve(*(f"k{n}" for n in range(10)))
    world.advance(T0 + 5)
    world.shipper.step()
    assert all(part[-1] == T0 + 5 and len(part) > 1 for part in world.log().values())


def test_only_the_newest_of_several_watermarks_is_sent(world: World) -> None:
    for watermark_ms in (T0, T0 + 1, T0 + 2):
        world.advance(watermark_ms)
    world.shipper.step()
    assert world.log() == {0: [T0 + 2], 1: [T0 + 2]}


def test_a_watermark_that_cannot_be_read_becomes_a_dead_letter(world: World) -> None:
    world.shipper.step()
    world.producer.acknowledges = False
    world.broker.append([Outgoing(WATERMARKS, b"\xff", b"k", (("ce_time", b"never"),))])
    world.advance(T0)
    with pytest.raises(Retriable):
        world.shipper.step()
    assert world.broker.committed("serving-shipper") == {}, "the record is read again if the process ends now"
    world.producer.acknowledges = True
    world.shipper.step()
    letters = world.broker.records(f"{WATERMARKS}.dlq")
    assert {letter.value for letter in letters} == {b"\xff"}
    assert {letter.header("dlq-source") for letter in letters} == {f"{WATERMARKS}/0/0".encode()}
    assert world.log() == {0: [T0, T0], 1: [T0, T0]}, "sent again, because nothing was acknowledged"
    assert world.broker.committed("serving-shipper") == {TopicPartition(WATERMARKS, 0): 2}
    world.shipper.step()
    assert world.broker.records(f"{WATERMARKS}.dlq") == letters


def test_watermarks_of_other_loops_are_ignored(world: World) -> None:
    world.advance(T0, loop="letters")
    world.shipper.step()
    assert world.log() == {0: [], 1: []}


def test_unacknowledged_records_are_sent_again_before_the_watermark(world: World) -> None:
    world.shipper.step()
    world.serve("a")
    world.advance(T0)
    world.producer.acknowledges = False
    with pytest.raises(Retriable):
        world.shipper.step()
    assert T0 not in [entry for partition in world.log().values() for entry in partition]
    world.producer.acknowledges = True
    world.shipper.step()
    assert world.shipped() == ["id-a", "id-a"]
    assert all(part[-1] == T0 for part in world.log().values())


def test_a_watermark_read_by_a_killed_shipper_is_delivered_again(world: World) -> None:
    world.shipper.step()
    world.advance(T0)
    world.producer.acknowledges = False
    with pytest.raises(Retriable):
        world.shipper.step()
    world.producer.acknowledges = True
    before = world.log()
    world.restart()
    world.shipper.step()
    assert all(len(world.log()[part]) == len(before[part]) + 1 for part in (0, 1))


def test_a_record_that_the_broker_refuses_becomes_a_dead_letter_and_the_others_are_shipped(world: World) -> None:
    """An id of 2.7 MB once ended the agent at every start, for all loops."""
    world.producer.longest = 1_000_000
    long = prediction("k")
    long.prediction_id = "x" * 2_700_000
    world.serve("a")
    world.writer.write(
        [prediction("b").SerializeToString(), long.SerializeToString(), prediction("c").SerializeToString()]
    )
    world.serve("d")
    world.advance(T0)
    world.shipper.step()
    world.restart()
    world.shipper.step()
    assert world.shipped() == ["id-a", "id-b", "id-c", "id-d"]
    assert all(part[-1] == T0 for part in world.log().values())
    [letter] = parse_dead_letters(world.broker.records(f"{TOPIC}.dlq"))
    assert (letter.reason, letter.consumer, letter.record.key) == ("refused-by-broker", "serving", b"k")
    assert "Message size too large; the whole record of 2700" in letter.detail
    assert not letter.is_complete
    [kept] = (world.folder / "refused").iterdir()
    assert kept.read_bytes() == long.SerializeToString()
    assert str(kept) in letter.detail


def test_a_record_that_is_no_prediction_becomes_a_dead_letter(world: World) -> None:
    world.writer.write([b"\xff\xff", prediction("a").SerializeToString()])
    world.shipper.step()
    assert world.shipped() == ["id-a"]
    [letter] = parse_dead_letters(world.broker.records(f"{TOPIC}.dlq"))
    assert (letter.reason, letter.record.value, letter.is_complete) == ("malformed-message", b"\xff\xff", True)


def test_a_graceful_stop_ships_the_rest(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.serve("late")
    world.stop.set()
    world.shipper.run()
    assert world.shipped() == ["id-late"]


def test_a_record_that_is_not_a_watermark_is_skipped(world: World) -> None:
    headers: Sequence[tuple[str, bytes]] = (("ce_id", b"x"),)
    world.broker.append([Outgoing(WATERMARKS, b"\xff", b"k", tuple(headers))])
    world.advance(T0)
    world.shipper.step()
    assert world.log() == {0: [T0], 1: [T0]}


def joined(start: int, writer: str = "") -> predictions_pb2.WriterJoined:
    return predictions_pb2.WriterJoined(loop=LOOP, writer=writer, start=start)


def mark(watermark_ms: int, start: int, writer: str = "") -> predictions_pb2.PredictionWatermark:
    return predictions_pb2.PredictionWatermark(loop=LOOP, watermark_ms=watermark_ms, writer=writer, start=start)


def test_a_start_joins_every_partition_before_it_may_answer(world: World) -> None:
    world.producer.acknowledges = False
    with pytest.raises(Retriable):
        world.shipper.step()
    assert not world.writers.may_answer(LOOP)
    world.producer.acknowledges = True
    world.shipper.step()
    assert world.writers.may_answer(LOOP)
    assert all(part[-1] == joined(1) for part in world.messages().values())


def test_a_start_may_answer_once_it_has_read_the_watermarks_of_the_features(world: World) -> None:
    for number in range(501):
        world.advance(T0 + number)
    world.shipper.step()
    assert not world.writers.may_answer(LOOP)
    assert world.messages() == {0: [joined(1)], 1: [joined(1)]}
    world.shipper.step()
    assert world.writers.may_answer(LOOP)
    assert world.messages() == {part: [joined(1), mark(T0 + 500, 1)] for part in (0, 1)}


def test_each_start_writes_the_newest_watermark_again(world: World) -> None:
    """Otherwise it would hold the windows, because monitoring forgets what the earlier start wrote."""
    world.advance(T0)
    world.shipper.step()
    world.restart()
    world.shipper.step()
    world.shipper.step()
    assert world.messages() == {part: [joined(1), mark(T0, 1), joined(2), mark(T0, 2)] for part in (0, 1)}


def test_a_start_that_was_given_up_starts_again(world: World) -> None:
    world.advance(T0)
    world.shipper.step()
    for loop, writer, start in ((LOOP, "other", 1), ("letters", "", 1), (LOOP, "", 7), (LOOP, "", 1), (LOOP, "", 1)):
        world.writers.give_up(loop, writer, start)
    world.serve("k")
    world.shipper.step()
    assert world.writers.may_answer(LOOP)
    assert all(part[:3] == [joined(1), mark(T0, 1), joined(2)] for part in world.messages().values())
    assert all(part[-1] == mark(T0, 2) for part in world.messages().values())
    assert world.shipped() == ["id-k"]


def test_the_records_of_a_named_writer_have_its_name(tmp_path: Path) -> None:
    world = World(tmp_path, name="two")
    world.advance(T0)
    world.shipper.step()
    assert world.messages() == {part: [joined(1, "two"), mark(T0, 1, "two")] for part in (0, 1)}


def test_watermarks_keep_the_ids_that_they_had_before_there_were_writers(world: World) -> None:
    world.advance(1_700_000_000_000)
    world.shipper.step()
    record = world.broker.records(TOPIC)[-1]
    assert record.header("ce_id") == ids.event_id("prediction-watermark", LOOP, 1_700_000_000_000).encode()


def test_leaving_sends_the_spool_and_then_closes_the_writer(world: World) -> None:
    world.shipper.step()
    world.serve("k")
    assert world.spool.is_written()
    world.writer.close()
    assert not world.spool.is_written()
    consumer = world.broker.batch_consumer([WATERMARKS], "serving-shipper")
    writers = LogWriters("", [LOOP], world.starts, FakeClock(wall_ms=1))
    stop = threading.Event()
    Shipper({LOOP: world.spool}, world.positions, writers, consumer, world.producer, FakeClock(), stop).leave()
    assert world.shipped() == ["id-k"]
    left = predictions_pb2.WriterLeft(loop=LOOP, start=2)
    assert all(part[-1] == left for part in world.messages().values())

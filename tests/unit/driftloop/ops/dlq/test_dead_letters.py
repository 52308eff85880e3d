from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.bus.dead_letters import dead_letter
from driftloop.bus.ports import BatchProducer, Outgoing, Record
from driftloop.bus.unreadable import BATCH, unreadable_batch
from driftloop.loop import load_loop
from driftloop.ops.dlq.dead_letter import REPLAY_OF, DeadLetter
from driftloop.ops.dlq.decode import decode_content, message_classes
from driftloop.ops.dlq.read import parse_dead_letters, read_dead_letters
from driftloop.ops.dlq.replay import replay_dead_letters
from driftloop.process.errors import ConfigError, Retriable
from driftloop.process.settings import ROOT
from tests.helpers.memory_broker import MemoryBroker

RAW = "orders.placed"
ORDERS = load_loop(ROOT / "tests" / "loops" / "orders")
MESSAGES = message_classes([ORDERS])


class TopicWithDeadLetters:
    """A broker with a raw topic and its dead letters, and an operator who replays them."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic(RAW, 2)
        self.broker.create_topic(f"{RAW}.dlq", 1)

    def refuse(self, *values: bytes, reason: str = "range") -> None:
        for number, value in enumerate(values):
            record = Record(RAW, number % 2, 10 + number, b"k", value, (("content-type", b"application/json"),))
            self.broker.append([dead_letter(record, consumer="ingestion", reason=reason, detail="lines is 0")])

    def letters(self) -> list[DeadLetter]:
        return read_dead_letters([RAW], self.read)

    def read(self, topics: Sequence[str]) -> list[Record]:
        return [record for topic in topics for record in self.broker.records(topic)]

    def replay_dead_letters(self, producer: BatchProducer | None = None) -> tuple[list[str], list[str]]:
        done = replay_dead_letters(
            self.letters(), producer or self.broker.batch_producer(), self.read, who="me", why="fixed"
        )
        return done.sent, done.already_sent

    def sent(self) -> list[Record]:
        return self.broker.records(RAW)


class Dying:
    """A producer whose process dies at a given flush and loses its queue."""

    def __init__(self, inner: BatchProducer, flushes: int) -> None:
        self._inner, self._left = inner, flushes
        self._queued: list[Outgoing] = []

    def send(self, records: Sequence[Outgoing]) -> None:
        self._queued += records

    def flush(self, timeout_s: float = 30.0) -> None:
        self._left -= 1
        if self._left < 0:
            raise Retriable("gone")
        self._inner.send(self._queued)
        self._queued = []

    def partitions(self, topic: str) -> int:
        return self._inner.partitions(topic)

    def close(self) -> None:
        self._inner.close()


@pytest.fixture
def topic() -> TopicWithDeadLetters:
    topic = TopicWithDeadLetters()
    topic.refuse(b'{"lines": 0}', b'{"lines": -1}')
    return topic


def test_a_dead_letter_has_source_and_reason(topic: TopicWithDeadLetters) -> None:
    [first, second] = topic.letters()
    assert (first.topic, first.offset, first.source) == (RAW, 0, f"{RAW}/0/10")
    assert (first.consumer, first.reason, first.detail) == ("ingestion", "range", "lines is 0")
    assert first.is_complete
    assert first.replay is None
    assert second.source == f"{RAW}/1/11"


def test_a_dead_letter_written_twice_counts_once(topic: TopicWithDeadLetters) -> None:
    topic.refuse(b'{"lines": 0}')
    assert [letter.offset for letter in topic.letters()] == [0, 1]


def test_the_original_bytes_return_to_their_partition(topic: TopicWithDeadLetters) -> None:
    sent, before = topic.replay_dead_letters()
    assert (sent, before) == ([f"{RAW}.dlq/0/0", f"{RAW}.dlq/0/1"], [])
    first, second = sorted(topic.sent(), key=lambda letter: letter.partition)
    assert (first.partition, first.key, first.value) == (0, b"k", b'{"lines": 0}')
    assert first.headers == (("content-type", b"application/json"), (REPLAY_OF, f"{RAW}.dlq/0/0".encode()))
    assert (second.partition, second.value) == (1, b'{"lines": -1}')


def test_a_second_replay_sends_nothing(topic: TopicWithDeadLetters) -> None:
    sent, _ = topic.replay_dead_letters()
    again, before = topic.replay_dead_letters()
    assert (again, before) == ([], sent)
    assert len(topic.sent()) == 2
    assert [
        (letter.replay.state, letter.replay.who, letter.replay.why) for letter in topic.letters() if letter.replay
    ] == [("done", "me", "fixed")] * 2


@pytest.mark.parametrize(("flushes", "sent_before"), [(0, 0), (1, 0), (2, 2)])
def test_an_interrupted_replay_is_completed_by_the_next(
    topic: TopicWithDeadLetters, flushes: int, sent_before: int
) -> None:
    with pytest.raises(Retriable):
        topic.replay_dead_letters(Dying(topic.broker.batch_producer(), flushes))
    assert len(topic.sent()) == sent_before
    sent, before = topic.replay_dead_letters()
    assert (len(sent), len(before)) == (2 - sent_before, sent_before)
    assert len(topic.sent()) == 2
    assert {letter.replay.state for letter in topic.letters() if letter.replay} == {"done"}


def test_a_truncated_dead_letter_cannot_be_replayed(topic: TopicWithDeadLetters) -> None:
    complete = topic.broker.records(f"{RAW}.dlq")[0]
    cut = Record(complete.topic, 0, 0, complete.key, (complete.value or b"")[:4], complete.headers)
    [letter] = parse_dead_letters([cut])
    assert not letter.is_complete
    with pytest.raises(ConfigError, match="does not have all bytes"):
        replay_dead_letters([letter], topic.broker.batch_producer(), topic.read, who="me", why="-")
    assert topic.sent() == []


def test_the_dead_letter_of_an_unreadable_batch_cannot_be_replayed(topic: TopicWithDeadLetters) -> None:
    batch = Record(RAW, 0, 9, None, None, (unreadable_batch(5, 9, 100, "damaged"),))
    out = dead_letter(batch, consumer="ingestion", reason=BATCH)
    [unreplayable] = parse_dead_letters([Record(out.topic, 0, 0, out.key, out.value, out.headers)])
    with pytest.raises(ConfigError, match="does not have all bytes"):
        replay_dead_letters([unreplayable], topic.broker.batch_producer(), topic.read, who="me", why="-")
    assert topic.sent() == []


def letter(value: bytes, topic: str = RAW, headers: tuple[tuple[str, bytes], ...] = ()) -> DeadLetter:
    out = dead_letter(Record(topic, 0, 0, None, value, headers), consumer="c", reason="r")
    return DeadLetter(Record(out.topic, 0, 0, out.key, out.value, out.headers))


def test_content_is_decoded_as_json_or_message() -> None:
    placed = MESSAGES[RAW](uid="u", order_ref="o-1", lines=3)
    assert decode_content(letter(b' {"lines": 0}'), MESSAGES) == {"lines": 0}
    assert decode_content(letter(placed.SerializeToString()), MESSAGES) == {
        "uid": "u",
        "order_ref": "o-1",
        "lines": "3",
    }
    name = "driftloop.control.v1.Pause"
    pause = MESSAGES[name](loop="orders", who="me")
    content = decode_content(
        letter(pause.SerializeToString(), "control.pause.v1", (("ce_type", name.encode()),)), MESSAGES
    )
    assert content == {"loop": "orders", "who": "me"}


def test_undecodable_content_is_shown_raw() -> None:
    assert decode_content(letter(b"{not json", "elsewhere"), MESSAGES) == "{not json"
    assert decode_content(letter(b"\xff\x00", "elsewhere"), MESSAGES) == "ff 00"
    assert decode_content(letter(b"\xff\xff\xff"), MESSAGES) == "ff ff ff"


def test_a_dead_letter_that_was_copied_back_and_refused_again_is_shown(topic: TopicWithDeadLetters) -> None:
    copied = topic.broker.records(f"{RAW}.dlq")[0]
    again = Record(RAW, 1, 99, copied.key, copied.value, copied.headers)
    topic.broker.append([dead_letter(again, consumer="ingestion", reason="missing")])
    assert [(letter.source, letter.reason) for letter in topic.letters()][2:] == [(f"{RAW}/1/99", "missing")]


def test_a_dead_letter_of_an_older_version_with_the_headers_of_two_refusals_is_shown(
    topic: TopicWithDeadLetters,
) -> None:
    copied = topic.broker.records(f"{RAW}.dlq")[0]
    own = (("dlq-source", f"{RAW}/1/99".encode()), ("dlq-reason", b"missing"))
    topic.broker.append([Outgoing(f"{RAW}.dlq", copied.value, copied.key, (*copied.headers, *own))])
    assert [(letter.source, letter.reason) for letter in topic.letters()][2:] == [(f"{RAW}/1/99", "missing")]


def test_a_refused_record_with_the_headers_of_a_replay_is_a_dead_letter(topic: TopicWithDeadLetters) -> None:
    headers = (("dlq-replay", b"done"), ("dlq-replay-offset", b"0"), ("dlq-source", b"x"))
    topic.broker.append([Outgoing(f"{RAW}.dlq", b"v", None, headers)])
    first, _, third = topic.letters()
    assert first.replay is None
    assert third.record.value == b"v"


_NAMES = [
    "ce_type", "content-type", "dlq-consumer", "dlq-detail", "dlq-reason", "dlq-replay", "dlq-replay-offset",
    "dlq-replay-who", "dlq-replay-why", "dlq-sha256", "dlq-source", "dlq-stack", REPLAY_OF,
]  # fmt: skip
_VALUES = st.sampled_from([b"", b"abc", b"done", b"begun", b"0", b"-1", b"\xff", b"a/b/c", b"a/0/0", b"1" * 5000])


@given(
    st.lists(st.tuples(st.sampled_from(_NAMES), _VALUES | st.binary(max_size=8)), max_size=8),
    st.none() | st.binary(max_size=12) | st.sampled_from([b"{" * 3000, b'{"a": ' + b"9" * 5000 + b"}"]),
)
def test_no_headers_or_bytes_end_the_commands(headers: list[tuple[str, bytes]], value: bytes | None) -> None:
    topic = TopicWithDeadLetters()
    topic.refuse(b"good")
    topic.broker.append([Outgoing(f"{RAW}.dlq", value, None, tuple(headers))])
    letters = topic.letters()
    assert f"{RAW}/0/10" in [letter.source for letter in letters]
    for letter in letters:
        decode_content(letter, MESSAGES)
        assert letter.original().topic == RAW
        assert all(isinstance(text, str) for text in (letter.reason, letter.detail, letter.stack, letter.consumer))

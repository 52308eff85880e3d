from __future__ import annotations

import pytest

from driftloop.events.raw_watermark import watermark_ms_of, watermark_text
from driftloop.loop import Loop, load_loop, to_ms
from driftloop.ops.watermarks import Asked, check_asked, write_watermarks
from driftloop.process.errors import ConfigError
from driftloop.process.settings import ROOT
from tests.helpers.memory_broker import MemoryBroker

NOW_MS = 1_700_000_000_000
TOPICS = ("orders.placed", "orders.inspected")


@pytest.fixture
def loop() -> Loop:
    return load_loop(ROOT / "tests" / "loops" / "orders")


@pytest.mark.parametrize(("at_ms", "text"), [(NOW_MS, b"1700000000000"), (None, b"derive")])
def test_every_partition_of_the_topics_gets_a_record_that_says_who_and_why(at_ms: int | None, text: bytes) -> None:
    broker = MemoryBroker()
    for topic, partitions in zip(TOPICS, (3, 2), strict=True):
        broker.create_topic(topic, partitions)
    assert write_watermarks(Asked(TOPICS, at_ms, "anna", "a test"), broker.batch_producer()) == dict(
        zip(TOPICS, (3, 2), strict=True)
    )
    records = [record for topic in TOPICS for record in broker.records(topic)]
    assert sorted((record.topic, record.partition) for record in records) == [
        *[("orders.inspected", partition) for partition in range(2)],
        *[("orders.placed", partition) for partition in range(3)],
    ]
    for record in records:
        assert (watermark_text(record), watermark_ms_of(record)) == (text, at_ms)
        assert (record.header("driftloop-who"), record.header("driftloop-why")) == (b"anna", b"a test")


def test_a_time_that_ingestion_accepts_is_accepted(loop: Loop) -> None:
    latest_ms = NOW_MS + to_ms(loop.definition.time.max_advance)
    for at_ms in (0, NOW_MS, latest_ms, None):
        check_asked(Asked(TOPICS, at_ms, "anna", "a test"), loop, NOW_MS)


@pytest.mark.parametrize(
    ("topics", "at_ms", "says"),
    [
        (TOPICS, NOW_MS + 4 * 86_400_000, "is not between 1970 and 2023-11-17"),
        (TOPICS, -1, "is not between 1970"),
        (("orders.lost",), NOW_MS, "'orders.lost' is not a topic of orders; use orders.placed, orders.inspected"),
    ],
)
def test_a_watermark_that_could_have_no_effect_is_refused(
    loop: Loop, topics: tuple[str, ...], at_ms: int, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        check_asked(Asked(topics, at_ms, "anna", "a test"), loop, NOW_MS)

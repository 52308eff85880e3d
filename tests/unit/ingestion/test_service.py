"""Ingestion as its neighbours see it: the lake, the rows for each entity, outcomes, watermarks, dead letters."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from pathlib import Path

import orjson
import pytest

from driftloop.bus.partition import partition_of
from driftloop.bus.unreadable import unreadable_header
from driftloop.featurestore.lake import LakeTable
from driftloop.loop import load_loop
from driftloop.process.errors import LoopDefinitionError, UndeclaredTopic
from driftloop.process.startup_errors import read_refused_loops
from services.ingestion.bootstrap import accepted_loops
from services.ingestion.config import IngestionSettings
from tests.unit.ingestion.fixtures import HOUR_MS, PAID, PLACED, START_MS, Producer, paid, placed, write_loop
from tests.unit.ingestion.harness import (
    FLUSHED,
    OUTCOMES,
    ROWS,
    IngestionHarness,
    batch,
    consume,
    envelopes,
    newest_watermark,
    read_all,
    rows_by_entity,
)


def test_json_without_key_or_header_and_protobuf_give_equal_rows(harness: IngestionHarness, producer: Producer) -> None:
    producer.json(PLACED, placed("a", 1, amount=200, weight=1.5))
    producer.protobuf(PLACED, placed("b", 1, amount=200, weight=1.5))
    harness.ingest()
    first, second = harness.events("orders", PLACED)
    differing = {"uid", "event_id", "source_offset", "arrival_watermark_ms"}
    assert {k: v for k, v in first.items() if k not in differing} == {
        k: v for k, v in second.items() if k not in differing
    }
    assert (first["everywhere"], first["dear"], first["inverse"], first["weight"], first["note"]) == (
        "all",
        1.0,
        50,
        1.5,
        None,
    )


def test_each_entity_gets_a_row_once_in_the_partition_of_its_key(harness: IngestionHarness, producer: Producer) -> None:
    for number in range(20):
        producer.json(PLACED, placed(f"e{number}", buyer=f"b{number % 7}"), number % 2)
    producer.json(PLACED, placed("nobody", buyer=""))
    harness.ingest()
    seen: dict[str, list[str]] = {"everywhere": [], "buyer,shop": []}
    for record, event in envelopes(harness.broker, ROWS):
        assert event.data.num_rows == batch(event.data).num_rows
        for join_keys, rows in rows_by_entity(event.data):
            for row in rows:
                key = "\x1f".join(row[name] for name in join_keys).encode()
                assert partition_of(key, 2) == record.partition
                seen[",".join(join_keys)].append(row["uid"])
    everyone = sorted(f"e{number}" for number in range(20))
    assert sorted(seen["buyer,shop"]) == everyone
    assert sorted(seen["everywhere"]) == sorted([*everyone, "nobody"])


def test_outcomes_are_keyed_by_prediction_and_need_a_value(harness: IngestionHarness, producer: Producer) -> None:
    producer.json(PAID, paid("a", order_id="17", paid=4))
    producer.json(PAID, paid("b", order_id="18", paid=None))
    harness.ingest()
    [(record, event)] = [item for item in envelopes(harness.broker, OUTCOMES) if "Outcomes" in item[1].type]
    [row] = batch(event.data).to_pylist()
    assert (row["key"], row["value"], record.partition) == ("17", 4.0, partition_of(b"17", 2))
    assert len(harness.events("orders", PAID)) == 2


def test_a_watermark_reaches_every_partition_after_all_rows_before_it(
    harness: IngestionHarness, producer: Producer
) -> None:
    producer.watermark(0)
    for hour in range(5):
        producer.json(PLACED, placed(f"e{hour}", hour + 0.5), hour % 2)
        producer.json(PLACED, placed(f"late{hour}", hour - 0.5), hour % 2)
        producer.json(PAID, paid(f"p{hour}", hour + 0.5), hour % 2)
        producer.watermark(hour + 1)
    harness.settings = {"poll_records": 3}
    harness.ingest()
    expected = [START_MS + hour * HOUR_MS for hour in range(6)]
    for topic in (ROWS, OUTCOMES):
        seen = consume(harness.broker, topic)
        assert sorted(seen) == [0, 1]
        for partition in seen.values():
            assert partition.watermarks() == expected
            _rows_stand_before_watermarks(partition.items)
    assert harness.table("orders", "watermarks").to_pydict() == {
        "watermark_ms": expected,
        "sequence": [1, 2, 3, 4, 5, 6],
    }


def _rows_stand_before_watermarks(items: list[tuple[object, ...]]) -> None:
    watermark = -1
    for item in items:
        if item[0] == "watermark":
            watermark = item[1]  # type: ignore[assignment]  # an int
        else:
            row = dict(item[2])  # type: ignore[call-overload]  # pairs
            assert row["arrival_watermark_ms"] >= watermark
            assert row["event_time_ms"] != row["arrival_watermark_ms"]


def test_a_late_row_is_accepted_with_its_arrival_watermark(harness: IngestionHarness, producer: Producer) -> None:
    producer.watermark(5)
    producer.json(PLACED, placed("late", 3))
    harness.ingest()
    [row] = harness.events("orders", PLACED)
    assert (row["event_time_ms"], row["arrival_watermark_ms"]) == (START_MS + 3 * HOUR_MS, START_MS + 5 * HOUR_MS)


def test_a_derived_watermark_lags_the_newest_event_by_the_lateness(
    harness: IngestionHarness, producer: Producer
) -> None:
    for partition in (0, 1):
        producer.json(PLACED, placed(f"a{partition}", 5), partition)
        producer.json(PAID, paid(f"b{partition}", 7), partition)
    harness.ingest()
    assert harness.table("orders", "watermarks").to_pylist() == [
        {"watermark_ms": START_MS + 4 * HOUR_MS, "sequence": 1}
    ]


def test_an_idle_partition_does_not_hold_the_loop_back(harness: IngestionHarness, producer: Producer) -> None:
    service = harness.service()
    service.start()
    producer.json(PLACED, placed("a", 5))
    read_all(service)
    assert newest_watermark(harness) is None
    harness.clock.move(29)
    producer.json(PLACED, placed("b", 6))
    service.step()
    harness.clock.move(2)
    service.step()
    assert newest_watermark(harness) == START_MS + 5 * HOUR_MS
    producer.json(PAID, paid("c", 1))
    service.step()
    service.finish()
    assert [row["arrival_watermark_ms"] for row in harness.events("orders", PAID)] == [START_MS + 5 * HOUR_MS]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (placed(""), "missing"),
        ({key: value for key, value in placed("a").items() if key != "placed_ms"}, "missing"),
        ({key: value for key, value in placed("a").items() if key != "count"}, "missing"),
        (placed("a", placed_ms=-1), "invalid-time"),
        (placed("a", placed_ms=2**62), "invalid-time"),
        (placed("a", shop="west"), "not-in-enum"),
        (placed("a", shop=""), "missing"),
        (placed("a", amount=-0.5), "out-of-range"),
        (placed("a", amount="NaN"), "out-of-range"),
        (placed("a", amount=1000.5), "out-of-range"),
        (placed("a", count=0), "out-of-range"),
        (placed("a", note="äöüßx"), "too-long"),
        (placed("a", hours=60), "too-far-ahead"),
        (placed("a", count="two"), "malformed-json"),
        (placed("a", weight="Infinity"), "non-finite"),
        (placed("a", weight="NaN"), "non-finite"),
        (placed("a", ratio="-Infinity"), "non-finite"),
        (placed("a", buyer="b" * 5000), "too-large"),
    ],
)
def test_an_event_that_breaks_a_rule_becomes_a_dead_letter_with_its_reason(
    harness: IngestionHarness, producer: Producer, event: dict[str, object], reason: str
) -> None:
    producer.watermark(0)
    producer.json(PLACED, placed("before"))
    producer.json(PLACED, event)
    producer.json(PLACED, placed("after"))
    harness.ingest()
    assert [row["uid"] for row in harness.events("orders", PLACED)] == ["before", "after"]
    [row] = harness.rejected()
    [letter] = harness.dead_letters(PLACED)
    original = orjson.dumps(event)
    assert (row["reason"], row["source_offset"], letter.value) == (reason, 2, original)
    assert letter.header("dlq-reason") == reason.encode()
    assert letter.header("dlq-source") == f"{PLACED}/0/2".encode()
    assert letter.header("dlq-sha256") == hashlib.sha256(original).hexdigest().encode()


@pytest.mark.parametrize(
    "event", [placed("a", note="1234"), placed("a", shop="häfen"), placed("a", amount=1000, note="")]
)
def test_an_event_at_the_limits_of_the_rules_is_accepted(
    harness: IngestionHarness, producer: Producer, event: dict[str, object]
) -> None:
    producer.json(PLACED, event)
    harness.ingest()
    assert len(harness.events("orders", PLACED)) == 1


def test_a_record_whose_headers_cannot_be_read_is_a_dead_letter(harness: IngestionHarness, producer: Producer) -> None:
    event = json.dumps(placed("a")).encode()
    producer.raw(PLACED, event, 0, (unreadable_header("malformed-header", "a name is not UTF-8"),))
    producer.json(PLACED, placed("b"))
    harness.ingest()
    assert [row["uid"] for row in harness.events("orders", PLACED)] == ["b"]
    [letter] = harness.dead_letters(PLACED)
    assert (letter.value, letter.header("dlq-reason")) == (event, b"malformed-header")


def test_a_field_that_the_message_lacks_is_ignored(harness: IngestionHarness, producer: Producer) -> None:
    harness.settings = {"dead_letter_limit": 3}
    for number in range(10):
        producer.json(PLACED, placed(f"e{number}", colour="red"))
    harness.ingest()
    assert len(harness.events("orders", PLACED)) == 10
    assert harness.dead_letters(PLACED) == []


def test_an_infinite_protobuf_value_is_refused(harness: IngestionHarness, producer: Producer) -> None:
    producer.protobuf(PLACED, placed("a", weight=float("inf")))
    producer.protobuf(PLACED, placed("b", ratio=float("nan")))
    producer.protobuf(PLACED, placed("c", ratio=2.0**100, weight=1e308))
    harness.ingest()
    assert [row["uid"] for row in harness.events("orders", PLACED)] == ["c"]
    assert [row["reason"] for row in harness.rejected()] == ["non-finite", "non-finite"]


def test_a_derived_value_that_is_not_finite_is_refused_unless_a_rule_allows_it(tmp_path: Path) -> None:
    growing = ('"100 // count"', '"weight * 1e308"')
    event = json.dumps(placed("a", weight=1e300)).encode()
    for name, rule in (("strict", ""), ("lenient", "inverse: {allow_non_finite: true}\n      ")):
        loop = write_loop(tmp_path / name, replace=growing)
        path = loop.folder / "loop.yaml"
        path.write_text(path.read_text().replace("amount: {min", f"{rule}amount: {{min"))
        harness = IngestionHarness(tmp_path / name, [load_loop(loop.folder)])
        Producer(harness.broker, harness.loops[0]).raw(PLACED, event)
        harness.ingest()
        assert [row["reason"] for row in harness.rejected()] == ([] if rule else ["non-finite"])


def test_a_rule_allows_infinity(tmp_path: Path) -> None:
    lenient = ("note: {max_length: 4}", "weight: {allow_non_finite: true}")
    harness = IngestionHarness(tmp_path, [write_loop(tmp_path / "loops", replace=lenient)])
    Producer(harness.broker, harness.loops[0]).json(PLACED, placed("a", weight="Infinity"))
    harness.ingest()
    assert [row["weight"] for row in harness.events("orders", PLACED)] == [math.inf]


@pytest.mark.parametrize(
    ("kind", "valid", "invalid", "reason"),
    [
        ("binary", [0, 1], [-1, 2], "unknown-class"),
        ("count", [0, 7], [-3], "invalid-outcome"),
        ("regression", [-3, 7], [], "invalid-outcome"),
    ],
)
def test_an_outcome_that_is_no_value_of_the_label_is_a_dead_letter(
    tmp_path: Path, kind: str, valid: list[int], invalid: list[int], reason: str
) -> None:
    harness, producer = of_label(tmp_path, f"value: paid, kind: {kind}")
    for number, value in enumerate([*valid, *invalid]):
        producer.json(PAID, paid(f"e{number}", order_id=f"{number}", paid=value))
    harness.ingest()
    assert outcomes_of(harness) == {f"{number}": float(value) for number, value in enumerate(valid)}
    assert [row["reason"] for row in harness.rejected()] == [reason] * len(invalid)


@pytest.mark.parametrize("kind", ["regression", "count"])
def test_an_outcome_whose_square_is_infinite_is_a_dead_letter(tmp_path: Path, kind: str) -> None:
    harness, producer = of_label(tmp_path, f"value: huge, kind: {kind}", "derive: {huge: 'paid * 1e200'}\n    ")
    producer.json(PAID, paid("a", paid=1))
    harness.ingest()
    assert [row["reason"] for row in harness.rejected()] == ["invalid-outcome"]


def test_only_the_row_on_which_an_expression_fails_is_rejected(tmp_path: Path) -> None:
    strict = ('"100 // count"', "\"CAST(shop || '1' AS BIGINT)\"")
    harness = IngestionHarness(tmp_path, [write_loop(tmp_path / "loops", replace=strict)])
    producer = Producer(harness.broker, harness.loops[0])
    producer.json(PLACED, placed("a", shop="north"))
    harness.ingest()
    assert [row["reason"] for row in harness.rejected()] == ["derive"]


@pytest.mark.parametrize("text", [b"soon", b"-5", b"99999999999999999999", b"", b"1.5"])
def test_a_watermark_that_cannot_be_read_is_a_dead_letter(
    harness: IngestionHarness, producer: Producer, text: bytes
) -> None:
    producer.raw(PLACED, b"", 0, (("driftloop-watermark", text),))
    harness.ingest()
    assert [row["reason"] for row in harness.rejected()] == ["malformed-watermark"]
    assert len(harness.dead_letters(PLACED)) == 1


def test_duplicates_are_recorded_but_not_dead_lettered(harness: IngestionHarness, producer: Producer) -> None:
    producer.json(PLACED, placed("a"))
    producer.protobuf(PLACED, placed("a"), 1)
    harness.ingest()
    producer.json(PLACED, placed("a"))
    producer.json(PAID, paid("a"))
    harness.ingest()
    assert [(row["reason"], row["event_id"]) for row in harness.rejected()] == [("duplicate", "a")] * 2
    assert len(harness.events("orders", PLACED)) == len(harness.events("orders", PAID)) == 1
    assert harness.dead_letters(PLACED) == []


def test_the_dead_letter_of_a_huge_record_fits_the_topic(harness: IngestionHarness, producer: Producer) -> None:
    value = b"x" * 9_000_000
    producer.raw(PLACED, value)
    harness.ingest()
    [letter] = harness.dead_letters(PLACED)
    assert len(letter.value or b"") == 1_000_000
    assert letter.header("dlq-sha256") == hashlib.sha256(value).hexdigest().encode()
    assert letter.header("dlq-original-bytes") == b"9000000"


def test_many_rows_are_split_into_events_that_fit_the_topic(harness: IngestionHarness, producer: Producer) -> None:
    for number in range(2000):
        producer.json(PLACED, placed(f"e{number}", buyer="b" * 3800))
    harness.ingest()
    sizes = [len(record.value or b"") for record, _ in envelopes(harness.broker, ROWS)]
    assert max(sizes) < 8_000_000
    uids_of: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for _, event in envelopes(harness.broker, ROWS):
        for join_keys, rows in rows_by_entity(event.data):
            uids_of[join_keys] += [row["uid"] for row in rows]
    assert len(sizes) == 2  # one partition, for all have the same keys
    for uids in uids_of.values():
        assert sorted(uids) == sorted(f"e{number}" for number in range(2000))
    assert len(uids_of) == 2
    assert len({event.id for _, event in envelopes(harness.broker, ROWS)}) == len(sizes)


def test_the_lake_is_flushed_when_input_is_idle_and_its_state_is_published(
    harness: IngestionHarness, producer: Producer
) -> None:
    harness.settings = {"flush_idle_s": 0.3}
    service = harness.service()
    service.start()
    producer.watermark(0)
    producer.json(PLACED, placed("a", 0.5))
    producer.watermark(1)
    read_all(service)
    assert envelopes(harness.broker, FLUSHED) == []
    harness.clock.move(0.4)
    service.step()
    [(_, event)] = envelopes(harness.broker, FLUSHED)
    assert event.data.watermark_ms == START_MS + HOUR_MS
    assert {table.name for table in event.data.tables} == {PLACED, "watermarks"}
    for table in event.data.tables:
        assert LakeTable(Path(table.path)).version() == table.version
    service.step()
    assert set(harness.broker.committed("ingestion").values()) == {2, 3}
    harness.clock.move(10)
    service.step()
    assert len(envelopes(harness.broker, FLUSHED)) == 1


@pytest.mark.parametrize("settings", [{"flush_rows": 3}, {"flush_span": "2h"}])
def test_the_lake_is_flushed_by_rows_and_by_span_of_event_time(
    harness: IngestionHarness, producer: Producer, settings: dict[str, object]
) -> None:
    harness.settings = {**settings, "poll_records": 5, "flush_idle_s": 1e9}
    service = harness.service()
    service.start()
    for hour in range(8):
        producer.json(PLACED, placed(f"e{hour}", hour))
        producer.watermark(hour)
        read_all(service)
    assert 2 <= len(envelopes(harness.broker, FLUSHED)) <= 4


def test_two_loops_are_independent(tmp_path: Path) -> None:
    loops = [write_loop(tmp_path / "loops", name, f"{name}.") for name in ("one", "two")]
    harness = IngestionHarness(tmp_path, loops)
    one, two = (Producer(harness.broker, loop, f"{loop.name}.") for loop in loops)
    one.json(PLACED, placed("a"))
    two.json(PLACED, placed("a"))
    two.json(PLACED, placed("b", shop="nowhere"))
    one.watermark(3)
    harness.ingest()
    assert [len(harness.events(name, f"{name}.{PLACED}")) for name in ("one", "two")] == [1, 1]
    assert (harness.rejected("one"), [row["reason"] for row in harness.rejected("two")]) == ([], ["not-in-enum"])
    assert {event.loop for _, event in envelopes(harness.broker, ROWS) if "Watermark" in event.type} == {"one"}
    ids = [(event.loop, event.id) for _, event in envelopes(harness.broker, ROWS) if "Rows" in event.type]
    assert len({name for _, name in ids}) == len(ids)


@pytest.mark.parametrize(
    ("label", "field", "known", "unknown"),
    [
        ("value: shop, kind: multiclass, classes: [north, south]", "shop", {"south": 1.0, "north": 0.0}, "east"),
        ("value: paid, kind: multiclass, classes: [none, one, two]", "paid", {0: 0.0, 2: 2.0}, 3),
        ("value: paid, kind: multiclass, classes: [none, one, two]", "paid", {1: 1.0}, -1),
    ],
)
def test_an_outcome_is_the_index_of_its_class_and_an_unknown_class_is_a_dead_letter(
    tmp_path: Path, label: str, field: str, known: dict[object, float], unknown: object
) -> None:
    harness, producer = of_label(tmp_path, label)
    for number, value in enumerate([*known, unknown]):
        producer.json(PAID, {**paid(f"e{number}", order_id=f"{number}"), field: value})
    producer.json(PAID, {**paid("nothing said", order_id="17"), field: None if field == "paid" else ""})
    harness.ingest()
    assert outcomes_of(harness) == {str(number): index for number, index in enumerate(known.values())}
    [letter] = harness.dead_letters(PAID)
    assert letter.header("dlq-reason") == b"unknown-class"
    assert f"{unknown!r} is not one of" in (letter.header("dlq-detail") or b"").decode()
    assert [row["reason"] for row in harness.rejected()] == ["unknown-class"]
    assert len(harness.events("orders", PAID)) == len(known) + 1


def test_a_class_may_be_derived(tmp_path: Path) -> None:
    harness, producer = of_label(
        tmp_path,
        "value: size, kind: multiclass, classes: [small, big]",
        "derive: {size: \"CASE WHEN paid > 10 THEN 'big' WHEN paid > 5 THEN 'odd' ELSE 'small' END\"}\n    ",
    )
    for number, amount in enumerate((20, 1, 7)):
        producer.json(PAID, paid(f"e{number}", order_id=f"{number}", paid=amount))
    harness.ingest()
    assert outcomes_of(harness) == {"0": 1.0, "1": 0.0}
    assert [row["size"] for row in harness.events("orders", PAID)] == ["big", "small"]
    assert [row["detail"] for row in harness.rejected()] == ["size: 'odd' is not one of small, big"]


def of_label(folder: Path, label: str, event: str = "") -> tuple[IngestionHarness, Producer]:
    """Return the loop of orders with another label; ``event`` is YAML to insert before `feeds`."""
    feeds = "feeds: [[shop]]"
    loop = write_loop(folder, replace=("value: paid, kind: regression", label))
    path = loop.folder / "loop.yaml"
    path.write_text(path.read_text().replace(feeds, event + feeds))
    harness = IngestionHarness(folder, [load_loop(loop.folder)])
    return harness, Producer(harness.broker, harness.loops[0])


def outcomes_of(harness: IngestionHarness) -> dict[str, float]:
    """Value of each accepted outcome by key."""
    events = [event.data for _, event in envelopes(harness.broker, OUTCOMES) if "Outcomes" in event.type]
    return {row["key"]: row["value"] for data in events for row in batch(data).to_pylist()}


def test_a_new_derived_column_and_a_new_field_are_added_to_the_lake(tmp_path: Path) -> None:
    loop = write_loop(tmp_path / "loops")
    harness = IngestionHarness(tmp_path, [loop])
    producer = Producer(harness.broker, loop)
    producer.json(PLACED, placed("old"))
    harness.ingest()
    path = loop.folder / "loop.yaml"
    path.write_text(path.read_text().replace("    derive:\n", '    derive:\n      twice: "2 * amount"\n'))
    harness.loops = [load_loop(loop.folder)]
    producer.json(PLACED, placed("new", amount=4))
    harness.ingest()
    harness.ingest()
    assert [(row["uid"], row["twice"]) for row in harness.events("orders", PLACED)] == [("old", None), ("new", 8.0)]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('dear: "CASE WHEN amount > 100 THEN 1.0 ELSE 0.0 END"', "dear: \"'much'\"", "'dear' is double in the lake"),
        ("everywhere: \"'all'\"", "everyone: \"'all'\"", "'everywhere' is in the lake"),
    ],
)
def test_a_changed_column_leaves_out_its_loop_with_file_and_line(
    tmp_path: Path, before: str, after: str, says: str
) -> None:
    loops = [write_loop(tmp_path / "loops", name, f"{name}.") for name in ("one", "two")]
    harness = IngestionHarness(tmp_path, loops)
    for loop in loops:
        Producer(harness.broker, loop, f"{loop.name}.").json(PLACED, placed("a"))
    harness.ingest()
    path = loops[0].folder / "loop.yaml"
    path.write_text(path.read_text().replace(before, after).replace("[[everywhere]", "[[shop]"))
    settings = IngestionSettings(home=tmp_path, loops_dir=tmp_path / "loops")
    accepted, _ = accepted_loops([load_loop(loop.folder) for loop in loops], settings)
    assert [loop.name for loop in accepted] == ["two"]
    [problem] = read_refused_loops(tmp_path)["one"]
    assert re.match(rf"{path}:\d+: one.orders.placed: .*{says}", problem)
    with pytest.raises(LoopDefinitionError, match=says):
        accepted_loops([load_loop(loops[0].folder)], settings)
    path.write_text(path.read_text().replace(after, before))
    assert len(accepted_loops([load_loop(loop.folder) for loop in loops], settings)[0]) == 2
    assert read_refused_loops(tmp_path) == {}


def test_a_topic_that_the_broker_lacks_leaves_out_its_loop_with_file_and_line(tmp_path: Path) -> None:
    loops = [write_loop(tmp_path / "loops", name, f"{name}.") for name in ("one", "two")]
    settings = IngestionSettings(home=tmp_path, loops_dir=tmp_path / "loops")
    accepted, compiled = accepted_loops(loops, settings, ["one.orders.placed"])
    assert [loop.name for loop in accepted] == [loop.name for loop in compiled] == ["two"]
    [problem] = read_refused_loops(tmp_path)["one"]
    line = loops[0].line_of("events", "one.orders.placed")
    assert problem == f"{line}: the broker has no topic one.orders.placed; `driftloop up` creates it"
    with pytest.raises(UndeclaredTopic, match=r"has no topic one\.orders\.placed"):
        accepted_loops(loops[:1], settings, ["one.orders.placed"])

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from driftloop.bus.ports import Outgoing, Record
from driftloop.bus.unreadable import NAME_NOT_UTF8, unreadable_batch
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts.topics import topic_of
from driftloop.process.errors import BundleError, Retriable
from driftloop.runner.tables import open_database
from services.monitoring import metrics
from services.monitoring.adapters.tables import metadata
from services.monitoring.bootstrap import OUTCOMES, PREDICTIONS, TOPICS
from services.monitoring.handlers import HANDLERS
from services.monitoring.joiner import Joiner
from tests.helpers.fuse import Killed
from tests.unit.monitoring.harness import (
    JoinerHarness,
    Raw,
    StopWhenIdle,
    day,
    definition,
    definition_of_classes,
    outgoing,
    route,
    served,
    watermark,
)
from tests.unit.monitoring.story import story


@pytest.fixture
def harness(tmp_path: Path) -> JoinerHarness:
    return JoinerHarness(tmp_path)


def values(harness: JoinerHarness, loop: str = "orders") -> list[tuple[str, bytes]]:
    """Return closed and restated windows as bytes."""
    events = [*harness.windows(loop), *harness.restated(loop)]
    return [(event.id, event.data.SerializeToString(deterministic=True)) for event in events]


def test_it_reads_the_topics_of_its_handlers() -> None:
    assert set(TOPICS) == {topic_of(message).name for message in HANDLERS}


def test_a_closed_window_has_a_prediction_with_its_outcome(harness: JoinerHarness) -> None:
    raw = Raw()
    harness.send(*watermark(0), route("r-1"), served("a", 1, 0.75, x=2.0), *raw.accepted([raw.row("a", 5, 0.0)]))
    harness.send(*watermark(25))
    harness.run()
    (event,) = harness.windows()
    window = event.data
    assert (window.window_id, window.start_ms, window.end_ms) == ("orders/1970-01-01T00:00:00.000Z", 0, 86_400_000)
    assert (event.time_ms, event.correlation_id, event.causation_id) == (86_400_000, event.id, None)
    assert (window.champion_release_id, window.predictions, window.joins.joined) == ("r-1", 1, 1)
    assert window.releases[0].residual_sum == 0.75
    assert {histogram.name: list(histogram.counts) for histogram in window.histograms} == {
        "x": [0, 0, 1],
        "score": [0, 1],
    }


def test_windows_close_before_the_first_release(
    harness: JoinerHarness,
) -> None:
    raw = Raw()
    harness.send(*watermark(1), *raw.accepted([raw.row("a", 5), raw.row("b", 30)]), *watermark(50))
    harness.run()
    assert [event.data.joins.unpredicted for event in harness.windows()] == [1, 1]
    assert [event.data.champion_release_id for event in harness.windows()] == ["", ""]


def test_probes_and_repeated_records_are_not_counted(harness: JoinerHarness) -> None:
    harness.send(*watermark(0), route("r-1"), served("a", 1), served("a", 1, 0.9))
    harness.send(served("b", 2, purpose=predictions.PROBE), *watermark(24))
    harness.run()
    assert harness.windows()[0].data.predictions == 1


def test_redelivered_outcome_rows_are_joined_once(harness: JoinerHarness) -> None:
    raw = Raw()
    batch = raw.accepted([raw.row("a", 5), raw.row("b", 6)])
    harness.send(*watermark(0), route("r-1"), served("a", 1), served("b", 1), *batch, *batch, *watermark(24))
    harness.run()
    joins = harness.windows()[0].data.joins
    assert (joins.joined, joins.duplicate) == (2, 0)


@pytest.mark.parametrize(("turn_s", "commits"), [(0.0, 1), (10.0, 3)])
def test_offsets_are_committed_once_a_second_and_at_the_end(
    harness: JoinerHarness, turn_s: float, commits: int
) -> None:
    harness.send(*watermark(0), route("r-1"))
    harness.clock.tick_s = turn_s
    committed = harness.run(poll_records=2)
    assert len(committed) == commits
    assert sum(committed[-1].values()) == len(watermark(0)) + 1


def test_a_cancelled_join_finishes_its_batch_and_closes_its_consumer(harness: JoinerHarness) -> None:
    closed: list[str] = []
    stop = threading.Event()
    event_loop: asyncio.AbstractEventLoop
    running: asyncio.Future[None]

    class CancellingConsumer(StopWhenIdle):
        def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
            event_loop.call_soon_threadsafe(running.cancel)
            return super().poll(max_records, timeout_s)

        def close(self) -> None:
            closed.append("consumer")

    async def run(joiner: Joiner) -> None:
        nonlocal event_loop, running
        event_loop = asyncio.get_running_loop()
        running = asyncio.ensure_future(joiner.run())
        with pytest.raises(asyncio.CancelledError):
            await running

    harness.send(*watermark(0), route("r-1"), served("a", 1), *watermark(24))
    consumer = CancellingConsumer(harness.broker.batch_consumer(TOPICS, "nobody"), stop)
    with harness.joiner(consumer, stop) as joiner:
        asyncio.run(run(joiner))
    assert (len(harness.windows()), closed, joiner.ready()) == (1, ["consumer"], False)
    assert consumer.commits != []


@pytest.mark.parametrize("poll_records", [7, 60])
def test_windows_do_not_depend_on_the_size_of_batches(tmp_path: Path, poll_records: int) -> None:
    once, batched = JoinerHarness(tmp_path / "once"), JoinerHarness(tmp_path / "batched")
    for harness in (once, batched):
        harness.send(*story())
    once.run()
    batched.run(poll_records)
    assert len(once.windows()) == 4
    assert len(once.restated()) > 1
    assert values(batched) == values(once)
    sums = [getattr(event.data.joins, name) for event in once.windows() for name in ("joined", "late", "missing")]
    assert sum(sums) > 60


@pytest.mark.parametrize("seed", range(3))
def test_after_kills_it_publishes_the_same_windows_once(tmp_path: Path, seed: int) -> None:
    uninterrupted, killed = JoinerHarness(tmp_path / "uninterrupted"), JoinerHarness(tmp_path / "killed")
    for harness in (uninterrupted, killed):
        harness.send(*story())
    uninterrupted.run()
    chance = random.Random(seed)
    for _ in range(3):
        with pytest.raises(Killed):
            killed.run(poll_records=13, killed_at=chance.randrange(1, 8))
    killed.run()
    assert values(killed) == values(uninterrupted)


def test_two_loops_on_the_same_topics_do_not_mix(tmp_path: Path) -> None:
    both = JoinerHarness(tmp_path / "both", [definition("orders"), definition("parcels")])
    alone = JoinerHarness(tmp_path / "alone", [definition("parcels")])
    first, second = story(1, loop="orders"), story(2, loop="parcels")
    shorter = min(len(first), len(second))
    mixed = (
        [record for pair in zip(first, second, strict=False) for record in pair] + first[shorter:] + second[shorter:]
    )
    both.send(*mixed)
    alone.send(*mixed)
    both.run()
    alone.run()
    assert values(both, "parcels") == values(alone, "parcels")
    assert values(alone, "orders") == []
    assert {event.id for event in both.windows("orders")}.isdisjoint(event.id for event in both.windows("parcels"))


def test_a_loop_that_is_left_out_for_one_start_continues_where_it_was(tmp_path: Path) -> None:
    both, one = [definition("orders"), definition("parcels")], [definition("parcels")]
    uninterrupted, changed = JoinerHarness(tmp_path / "whole", both), JoinerHarness(tmp_path / "changed", both)
    first, second = story(1, loop="orders"), story(2, loop="parcels")
    uninterrupted.send(*first, *second)
    uninterrupted.run()
    cut, unread = len(first) // 3, len(first) // 2
    changed.send(*first[:cut], *second[:cut])
    changed.run()
    changed.send(*first[cut:unread], *second[cut:])
    changed.run(loops=one)
    changed.send(*first[unread:])
    with pytest.raises(Killed):
        changed.run(poll_records=20, killed_at=2)
    changed.run()
    for loop in ("orders", "parcels"):
        assert values(changed, loop) == values(uninterrupted, loop)


@pytest.mark.parametrize("repeats", [0, 2])
def test_topics_that_are_created_again_are_read_from_their_beginning(tmp_path: Path, repeats: int) -> None:
    uninterrupted, changed = JoinerHarness(tmp_path / "whole"), JoinerHarness(tmp_path / "changed")
    records = story(1)
    cut = len(records) // 2
    uninterrupted.send(*records)
    uninterrupted.run()
    changed.send(*records[:cut])
    changed.run()
    for topic in TOPICS:
        changed.broker.create_again(topic)
    changed.send(*records[cut:], *repeats * records)
    changed.run()
    assert values(changed) == values(uninterrupted)


def test_a_loop_whose_state_an_older_version_forgot_starts_again(tmp_path: Path) -> None:
    harness = JoinerHarness(tmp_path)
    records = story(1)
    harness.send(*records)
    harness.run()
    before = values(harness)
    harness.forget_loops()
    harness.send(*records)
    harness.run()
    assert values(harness)[: len(before)] == before


def test_a_window_waits_for_the_route_of_the_release_that_scored_it(harness: JoinerHarness) -> None:
    harness.send(*watermark(0), served("a", 1), *watermark(24))
    harness.run()
    assert harness.windows() == []
    harness.send(route("r-1"))
    harness.run()
    assert len(harness.windows()) == 1


def test_it_exits_if_the_route_never_arrives(harness: JoinerHarness) -> None:
    harness.send(*watermark(0), served("a", 1), *watermark(24))
    harness.settings = harness.settings.model_copy(update={"reference_timeout_s": 30.0})
    harness.clock.tick_s = 20.0
    with pytest.raises(Retriable, match="no route named its releases"):
        harness.run(poll_records=1)


def test_a_missing_bundle_stops_the_join(harness: JoinerHarness) -> None:
    harness.references.missing.add("r-1")
    harness.send(*watermark(0), route("r-1"), served("a", 1), *watermark(24))
    with pytest.raises(BundleError):
        harness.run()


def bad_records() -> list[tuple[str, Outgoing]]:
    good = served("a", 1)
    no_key = predictions.PredictionServed(loop="orders", prediction_id="p", release_id="r-1")
    not_arrow = ingestion.OutcomesAccepted(loop="orders", num_rows=1, rows=b"nothing")
    lost_column = ingestion.OutcomesAccepted(loop="orders", num_rows=1, rows=_without_key())
    return [
        ("missing-header", Outgoing(PREDICTIONS, good.value, b"a", ())),
        ("malformed-header", Outgoing(PREDICTIONS, good.value, b"a", (NAME_NOT_UTF8,))),
        ("unreadable-batch", Outgoing(PREDICTIONS, None, b"a", (unreadable_batch(0, 3, 90, "damaged"),))),
        ("unknown-type", outgoing(registry.RouteChanged(loop="orders"), "orders", topic=PREDICTIONS)),
        ("unknown-type", Outgoing(OUTCOMES, good.value, b"a", good.headers)),
        ("malformed-message", Outgoing(PREDICTIONS, b"\xff\xff", b"a", good.headers)),
        ("missing-field", outgoing(no_key, "orders")),
        ("malformed-rows", outgoing(not_arrow, "orders")),
        ("malformed-rows", outgoing(lost_column, "orders")),
    ]


def _without_key() -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    table = pa.table({"event_id": ["e"], "value": [1.0]})
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(("reason", "bad"), bad_records())
def test_an_unreadable_record_is_a_dead_letter_and_the_others_are_joined(
    harness: JoinerHarness, reason: str, bad: Outgoing
) -> None:
    harness.send(*watermark(0), route("r-1"), bad, served("b", 1), *watermark(24))
    harness.run()
    (letter,) = harness.broker.records(f"{bad.topic}.dlq")
    assert letter.value == bad.value
    assert letter.header("dlq-reason") == reason.encode()
    assert harness.windows()[0].data.predictions == 1


def test_any_number_of_dead_letters_does_not_stop_other_records(harness: JoinerHarness) -> None:
    harness.send(*[Outgoing(OUTCOMES, b"", b"a", ())] * 60, *watermark(0), route("r-1"), served("a", 1), *watermark(24))
    harness.run()
    assert len(harness.broker.records(f"{OUTCOMES}.dlq")) == 60
    assert harness.windows()[0].data.predictions == 1


def test_outcomes_without_a_value_are_not_outcomes(harness: JoinerHarness) -> None:
    raw = Raw()
    rows = [raw.row("a", 5, value) for value in (np.nan, np.inf, -1.0, 2.0, 0.5)]
    harness.send(*watermark(0), route("r-1"), served("a", 1), *raw.accepted(rows), *watermark(48))
    harness.run()
    assert [event.data.joins.joined for event in harness.windows()] == [0, 0]
    assert harness.windows()[1].data.joins.missing == 1


def test_the_database_has_only_rows_within_the_memory(harness: JoinerHarness) -> None:
    harness.send(*story(days=10))
    harness.run()
    engine = open_database(harness.settings.database_url("monitoring"), metadata)
    with engine.connect() as connection:

        def select_one(query: str) -> Any:
            return connection.execute(text(query)).one()

        rows = select_one("select min(visible_ms), count(*) from predictions")
        records = select_one("select count(*) from predictions where record is not null")[0]
        closed = select_one("select min(end_ms), count(*) from windows")
    assert rows[0] >= day(10 - 6) * 3_600_000
    assert rows[1] <= 4 * 8 * 6
    assert 0 < records <= 4 * 8 * 2
    assert closed[0] >= day(10 - 6) * 3_600_000
    assert closed[1] == 7


def test_the_log_loss_of_classes_uses_the_true_class_also_after_a_restart(tmp_path: Path) -> None:
    harness, raw = JoinerHarness(tmp_path, [definition_of_classes("low", "middle", "high")]), Raw()
    harness.send(*watermark(0), route("r-1"), served("a", 1, 0.7, classes=(0.1, 0.7, 0.2)), *watermark(25))
    harness.run()
    harness.send(*raw.accepted([raw.row("a", 26, 2.0)]), *watermark(50))
    harness.run()
    _, second = harness.windows()
    [sums] = second.data.releases
    assert (sums.count, sums.loss_sum) == (1, pytest.approx(-math.log(0.2)))
    assert (sums.score_sum, sums.outcome_sum, sums.residual_sum) == pytest.approx((0.7, 0.0, 0.7))


def test_a_prediction_with_another_number_of_classes_is_a_dead_letter(tmp_path: Path) -> None:
    harness = JoinerHarness(tmp_path, [definition_of_classes("low", "high")])
    harness.send(*watermark(0), route("r-1"), served("a", 1, 0.7, classes=(0.1, 0.7, 0.2)), served("b", 1, 0.7))
    harness.run()
    letters = harness.broker.records(f"{PREDICTIONS}.dlq")
    assert [letter.header("dlq-reason") for letter in letters] == [b"other-classes"] * 2


def test_a_correction_restates_the_window_with_the_outcome_and_keeps_its_window_closed(
    harness: JoinerHarness,
) -> None:
    raw = Raw()
    harness.send(*watermark(0), route("r-1", "r-2"))
    harness.send(*[served(key, 1, 0.75, challenger=("r-2", 0.5)) for key in "abc"])
    harness.send(*raw.accepted([raw.row(key, 5, 1.0) for key in "abc"]), *watermark(25))
    harness.send(*raw.accepted([raw.row("b", 30, 0.0)]), *watermark(50))
    harness.run()
    first, second = (event.data for event in harness.windows())
    (event,) = harness.restated()
    restated = event.data
    assert (event.time_ms, event.correlation_id) == (second.end_ms, event.id)
    assert (restated.window_id, restated.start_ms, restated.end_ms) == (first.window_id, first.start_ms, first.end_ms)
    assert (restated.known_by_window_id, restated.corrections) == (second.window_id, 1)
    assert list(restated.before) == list(first.releases)
    champion, challenger = restated.after
    assert (champion.count, champion.outcome_sum, champion.answered) == (3, 2.0, 3)
    assert champion.loss_sum == pytest.approx(-2 * math.log(0.75) - math.log(0.25))
    assert champion.residual_sum == pytest.approx(-0.25 - 0.25 + 0.75)
    assert challenger.loss_sum == pytest.approx(-3 * math.log(0.5))
    assert (second.joins.corrected, second.joins.overdue) == (1, 0)


def test_a_restated_window_equals_one_that_closed_with_the_corrected_values(tmp_path: Path) -> None:
    """To the last bit, although the corrections arrive over two days and across a restart."""
    chance = random.Random(5)
    keys = [f"k{n}" for n in range(40)]
    scores = {key: (chance.random(), chance.random()) for key in keys}
    late, right = JoinerHarness(tmp_path / "late"), JoinerHarness(tmp_path / "right")
    for harness, values_first in (
        (late, dict.fromkeys(keys, 1.0)),
        (right, {k: float(n % 3 > 0) for n, k in enumerate(keys)}),
    ):
        raw = Raw()
        harness.send(*watermark(0), route("r-1", "r-2"))
        harness.send(*[served(k, 1, own, challenger=("r-2", other)) for k, (own, other) in scores.items()])
        harness.send(
            *raw.accepted([raw.row(k, 5 + n / 40, values_first[k]) for n, k in enumerate(keys)]), *watermark(25)
        )
        harness.run()
        if harness is late:
            harness.send(*raw.accepted([raw.row(k, 27, 0.0) for n, k in enumerate(keys) if n % 6 == 0]), *watermark(49))
            harness.run()
            harness.send(*raw.accepted([raw.row(k, 39, 0.0) for n, k in enumerate(keys) if n % 6 == 3]), *watermark(73))
            harness.run()
    one, two = late.restated()
    assert (one.data.corrections, two.data.corrections) == (7, 7)
    assert list(two.data.before) == list(one.data.after)
    assert list(two.data.after) == list(right.windows()[0].data.releases)


def test_a_correction_of_an_unpredicted_outcome_restates_nothing(harness: JoinerHarness) -> None:
    raw = Raw()
    harness.send(*watermark(0), *raw.accepted([raw.row("a", 5, 1.0)]), *watermark(25))
    harness.send(*raw.accepted([raw.row("a", 30, 0.0)]), *watermark(50))
    harness.run()
    assert (len(harness.windows()), harness.restated()) == (2, [])


@dataclass
class RecordedMetric:
    """A metric that records its values."""

    name: str
    values: list[tuple[float, dict[str, str]]] = field(default_factory=list)

    def add(self, amount: float = 1, **labels: str) -> None:
        self.values.append((amount, labels))

    set = add


def test_metrics_show_the_newest_restated_window(harness: JoinerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    count, end, loss = (RecordedMetric(name) for name in ("RESTATED_OUTCOMES", "RESTATED_END", "RESTATED_LOSS"))
    for metric in (count, end, loss):
        monkeypatch.setattr(metrics, metric.name, metric)
    raw = Raw()
    harness.send(
        *watermark(0), route("r-1"), served("a", 1, 0.75), *raw.accepted([raw.row("a", 5, 1.0)]), *watermark(25)
    )
    harness.send(*raw.accepted([raw.row("a", 30, 0.0)]), *watermark(50))
    harness.run()
    assert count.values == [(1, {"loop": "orders"})]
    assert end.values == [(86_400.0, {"loop": "orders"})]
    [(value, labels)] = loss.values
    assert value == pytest.approx(-math.log(0.25))
    assert labels == {"loop": "orders", "release": "r-1", "role": "champion"}


class StopAtFirstBatch(StopWhenIdle):
    """A consumer that sets the stop event as soon as it has returned records."""

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        records = super().poll(max_records, timeout_s)
        if records:
            self._stop.set()
        return records


def test_a_jump_over_many_windows_is_closed_in_bounded_transactions(tmp_path: Path) -> None:
    harness, at_once = JoinerHarness(tmp_path / "bounded"), JoinerHarness(tmp_path / "at once")
    harness.settings = harness.settings.model_copy(update={"windows_per_transaction": 10})
    for system in (harness, at_once):
        raw = Raw()
        system.send(route("r-1"), *watermark(0.0), served("k", 1.0), *raw.accepted([raw.row("k", 2.0)]))
        system.run()
        system.send(*watermark(day(35)))
    at_once.run()
    stop = threading.Event()
    consumer = StopAtFirstBatch(harness.broker.batch_consumer(TOPICS, "nobody"), stop)
    with harness.joiner(consumer, stop) as joiner:
        asyncio.run(joiner.run())
    assert len(harness.windows()) == 10  # a stop does not wait for the others
    harness.run()
    assert len(harness.windows()) == 35
    assert values(harness) == values(at_once)

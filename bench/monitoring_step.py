"""Benchmark of the outcome join: milliseconds per step (records in, rows and offsets to SQL), and per window close.

Run ``python -m bench.monitoring_step [--days 12] [--per-step 40] [--inputs 110] [--cpu]``. A step is an hour of event
time with that many predictions and outcomes. With ``--cpu`` it measures CPU time, which other processes do not affect.
The bus is in memory; the outbox is never sent.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from driftloop.bus.ports import Outgoing
from driftloop.contracts.predictions_pb2 import CLIENT, PredictionServed, ReleaseScore
from driftloop.contracts.topics import declared
from driftloop.process.clock import SystemClock
from driftloop.runner.tables import open_database
from services.monitoring.adapters.tables import metadata
from services.monitoring.bootstrap import TOPICS, assemble
from services.monitoring.config import MonitoringSettings
from services.monitoring.domain.psi import Grid, Reference
from services.monitoring.ports import ReleaseInfo
from tests.helpers.memory_broker import MemoryBroker
from tests.unit.monitoring.harness import Raw, definition, outgoing, route, watermark

DIGEST = "bench"


class WideReferences:
    """References with many inputs, ten bins each."""

    def __init__(self, inputs: int) -> None:
        self._names = tuple(f"x{at}" for at in range(inputs))
        self._grid = Grid(np.linspace(-1.5, 1.5, 9), np.full(10, 100), 0)

    def open(self, release: ReleaseInfo) -> Reference:
        grids = dict.fromkeys(self._names, self._grid)
        return Reference(release.release_id, DIGEST, self._names, ("colour",), grids, self._grid)


def step_records(hour: int, count: int, inputs: int, raw: Raw, chance: np.random.Generator) -> list[Outgoing]:
    """Return the predictions of one hour, the outcomes of two hours earlier, and both watermarks."""
    records = []
    for at in range(count):
        scores = [
            ReleaseScore(release_id="r-1", role="champion", score=chance.random()),
            ReleaseScore(release_id="r-2", role="challenger", score=chance.random()),
        ]
        message = PredictionServed(
            loop="orders", prediction_id=f"p-{hour}-{at}", key=f"k-{hour}-{at}", decision_time_ms=hour * 3_600_000 + at,
            release_id="r-1", arm="champion", score=scores[0].score, scores=scores, input_digest=DIGEST,
            numeric=chance.normal(size=inputs), categorical=["red"], purpose=CLIENT,
        )  # fmt: skip
        records.append(outgoing(message, "orders", key=message.key))
    rows = [raw.row(f"k-{hour - 2}-{at}", hour + 0.5, float(chance.random() < 0.3)) for at in range(count)]
    return [*records, *raw.accepted(rows), *watermark(hour + 1)]


def main() -> None:
    """Run the benchmark and print percentiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=12)
    parser.add_argument("--per-step", type=int, default=40)
    parser.add_argument("--inputs", type=int, default=110)
    parser.add_argument("--cpu", action="store_true")
    arguments = parser.parse_args()
    timer: Callable[[], float] = time.process_time if arguments.cpu else time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        plain, closing = run(Path(folder), arguments.days, arguments.per_step, arguments.inputs, timer)
    for name, seconds in (("step", plain), ("step that closes a window", closing)):
        p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
        print(f"{name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, n {len(seconds)}")


def run(
    folder: Path, days: int, per_step: int, inputs: int, timer: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Return the seconds of each step, and separately of the steps that close a window."""
    broker = MemoryBroker()
    for topic in declared().values():
        broker.create_topic(topic.name, topic.partitions)
    settings = MonitoringSettings(home=folder)
    consumer = broker.batch_consumer(TOPICS, "bench")
    joiner = assemble(
        [definition()],
        engine=open_database(settings.database_url("monitoring"), metadata),
        consumer=consumer,
        producer=broker.lifecycle_producer(),
        references=WideReferences(inputs),
        settings=settings,
        stop=threading.Event(),
        clock=SystemClock(),
    )
    raw, chance = Raw(), np.random.default_rng(0)
    broker.append([*watermark(0), route("r-1", "r-2")])
    plain: list[float] = []
    closing: list[float] = []
    for hour in range(days * 24):
        broker.append(step_records(hour, per_step, inputs, raw, chance))
        records = consumer.poll(5000, 0.0)
        started = timer()
        joiner.process(records)
        (closing if (hour + 1) % 24 == 0 else plain).append(timer() - started)
    return plain, closing


if __name__ == "__main__":
    main()

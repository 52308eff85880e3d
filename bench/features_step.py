"""Benchmark of the features service on real flights: milliseconds per step of event time, engine and online write.

Run ``TZ=UTC python bench/features_step.py [--days 60] [--step-minutes 30] [--cpu]``. With ``--cpu`` it measures CPU
time, which other processes do not affect; waits for the disk are then not included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from driftloop.featurestore.feast_client import open_store
from driftloop.loop.load import Loop, load_loop
from driftloop.process.settings import ROOT, Settings
from loops.flights.source import events
from services.features.adapters.feast_views import apply
from services.features.adapters.sqlite_online import SqliteOnline
from services.features.domain.engine import Engine
from services.features.domain.events import Arrived


@dataclass
class Times:
    """Seconds of each part, one value per step."""

    add: list[float] = field(default_factory=list)
    advance: list[float] = field(default_factory=list)
    write: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    values: list[int] = field(default_factory=list)

    def report(self) -> None:
        """Print the percentiles."""
        total = np.array(self.add) + np.array(self.advance) + np.array(self.write)
        print(f"{len(total)} steps, {np.mean(self.rows):.0f} rows and {np.mean(self.values):.0f} values a step")
        for name, seconds in (
            ("add", self.add),
            ("advance", self.advance),
            ("online write", self.write),
            ("step", total),
        ):
            p50, p99 = np.percentile(np.array(seconds) * 1000, (50, 99))
            print(f"  {name:13} mean {np.mean(seconds) * 1000:6.2f} ms   p50 {p50:6.2f}   p99 {p99:6.2f}")


def accepted(loop: Loop, start_ms: int, end_ms: int) -> dict[str, pa.Table]:
    """Return rows as ingestion would accept them, none late, sorted by event time."""
    tables = {}
    for name, raw in events(start_ms, end_ms).items():  # noqa: B007, PERF102  # DuckDB reads the variable by name
        derived = "".join(f", {sql} AS {column}" for column, sql in loop.definition.events[name].derive.items())
        rows = duckdb.sql(f"SELECT *{derived} FROM raw").to_arrow_table()  # noqa: S608  # the expressions are from loop.yaml
        count = pa.array(np.arange(len(rows)))
        rows = rows.append_column("arrival_watermark_ms", pa.array(np.zeros(len(rows), np.int64)))
        rows = rows.append_column("source_partition", pa.array(np.zeros(len(rows), np.int32)))
        tables[name] = rows.append_column("source_offset", count).combine_chunks()
    return tables


def run(home: Path, days: int, step: timedelta, clock_s: Callable[[], float] = time.perf_counter) -> Times:
    """Process the first ``days`` days of January and time each step."""
    loop = load_loop(ROOT / "loops" / "flights")
    settings = Settings(home=home)
    engine = Engine(apply(open_store(settings), [loop], settings.feature_repo)["flights"])
    online = SqliteOnline(settings.online_db)
    start_ms, day_ms = 1_356_912_000_000, 86_400_000  # 31 December 2012, UTC
    rows = accepted(loop, start_ms, start_ms + (days + 2) * day_ms)
    batches = {name: table.to_batches()[0] for name, table in rows.items()}
    clocks = {name: batch.column("event_time_ms").to_numpy() for name, batch in batches.items()}
    step_ms = step // timedelta(milliseconds=1)
    first, last = min(clock[0] for clock in clocks.values()), max(clock[-1] for clock in clocks.values())
    times = Times()
    for watermark in range(int(first // step_ms * step_ms + step_ms), int(last), step_ms):
        began = clock_s()
        arrived = {}
        for name in {feed.event_type for feed in engine.feeds}:
            a, b = np.searchsorted(clocks[name], (watermark - step_ms, watermark))
            arrived[name] = Arrived(batches[name].slice(a, b - a))
        for feed in engine.feeds:
            engine.add(feed, arrived[feed.event_type])
        added = clock_s()
        advance = engine.advance(watermark)
        advanced = clock_s()
        online.write(loop.name, engine.specs, advance)
        written = clock_s()
        if advance.rows:
            times.add.append(added - began)
            times.advance.append(advanced - added)
            times.write.append(written - advanced)
            times.rows.append(advance.rows)
            times.values.append(sum(len(view.keys) * len(view.columns) for view in advance.views))
    return times


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--step-minutes", type=int, default=30)
    parser.add_argument("--cpu", action="store_true")
    arguments = parser.parse_args()
    clock_s = time.process_time if arguments.cpu else time.perf_counter
    with tempfile.TemporaryDirectory() as home:
        run(Path(home), arguments.days, timedelta(minutes=arguments.step_minutes), clock_s).report()


if __name__ == "__main__":
    main()

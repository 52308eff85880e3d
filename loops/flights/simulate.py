"""``python -m loops.flights.simulate``: simulate the loop with the settings of loop.yaml, offline and in minutes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import torch

from driftloop.loop import load_loop
from loops.flights.simulation import SimulatedEvent, Simulation, log_loss
from loops.flights.world import NEVER, World, build


def main() -> None:
    """Print the history for each first day and seed."""
    options = _arguments()
    torch.set_num_threads(1)
    definition = load_loop(Path(__file__).parent).definition
    if options.table:
        print(
            "| first day | seed | simulation | log loss after each promotion, same rows |\n|---|---|---|---|",
            flush=True,
        )
    for start in options.start:
        world = build(definition, start, options.end, options.permute_labels)
        if not options.table:
            print(f"{len(world.rows.key):,} flights, {start} to {options.end}")
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            simulation = Simulation(definition, world, seed)
            if options.table:
                print(
                    f"| {start:%b %d} | {seed} | {line(simulation.run())} | {'; '.join(_quality(simulation, world))} |",
                    flush=True,
                )
            else:
                _print(seed, simulation, world)


def _print(seed: int, simulation: Simulation, world: World) -> None:
    print(f"\nseed {seed}")
    for event in simulation.run():
        print(f"  {_day(event.time_ms)}  {event.kind:22} {event.detail}", flush=True)
    for loss in _quality(simulation, world):
        print(f"  {loss}")


def line(events: Iterable[SimulatedEvent]) -> str:
    """Return a history in one line: alarms, verdicts, promotions; a rejection only if no verdict states it."""
    return "; ".join(f"{_day(event.time_ms)} {event.kind}: {event.detail}" for event in events if event.notable)


def _quality(simulation: Simulation, world: World) -> list[str]:
    """Return the log loss of every release in each champion's period, on the same rows."""
    starts = sorted(release.champion_ms for release in simulation.releases if release.champion_ms < NEVER)
    lines = []
    for start, end in zip(starts, [*starts[1:], NEVER], strict=True):
        decided = world.rows.decision_time_ms
        rows = np.flatnonzero((decided >= start) & (decided < end) & (world.outcome_ms < NEVER))
        known = [release for release in simulation.releases if release.since_ms <= start]
        label = world.rows.label[rows]
        losses = ", ".join(f"{release.name} {log_loss(release.score[rows], label).mean():.4f}" for release in known)
        lines.append(f"from {_day(start)}, {len(rows):,} outcomes: {losses}")
    return lines


def _day(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%b %d}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    shipped = [date(2012, 12, 31)]
    parser.add_argument("--start", type=date.fromisoformat, nargs="+", default=shipped, help="first days, UTC")
    parser.add_argument(
        "--end", type=date.fromisoformat, default=date(2013, 5, 21), help="first day that is not replayed"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="print a row of Markdown for each simulation")
    parser.add_argument("--permute-labels", type=int, help="permute outcomes by day with this seed")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""``python -m loops.flights.simulate``: the story that loop.yaml's settings would tell, offline and in seconds."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import torch

from driftloop.loop import load_loop
from loops.flights.simulation import Simulation, log_loss
from loops.flights.world import NEVER, World, build


def main() -> None:
    """Print the story for each seed."""
    asked = _arguments()
    torch.set_num_threads(1)
    definition = load_loop(Path(__file__).parent).definition
    world = build(definition, asked.start, asked.end, asked.permute_labels)
    print(f"{len(world.rows.key):,} flights, {asked.start} to {asked.end}")
    for seed in range(asked.seeds):
        print(f"\nseed {seed}")
        story = Simulation(definition, world, seed)
        for each in story.run():
            print(f"  {datetime.fromtimestamp(each.time_ms / 1000, UTC):%b %d}  {each.kind:22} {each.detail}")
        _print_quality(story, world)


def _print_quality(story: Simulation, world: World) -> None:
    """Log loss of every release on what came after each champion, same rows."""
    starts = sorted(each.champion_ms for each in story.releases if each.champion_ms < NEVER)
    for start, end in zip(starts, [*starts[1:], NEVER], strict=True):
        decided = world.rows.decision_time_ms
        rows = np.flatnonzero((decided >= start) & (decided < end) & (world.outcome_ms < NEVER))
        known = [each for each in story.releases if each.since_ms <= start]
        label = world.rows.label[rows]
        losses = ", ".join(f"{each.name} {log_loss(each.score[rows], label).mean():.4f}" for each in known)
        print(f"  from {datetime.fromtimestamp(start / 1000, UTC):%b %d}, {len(rows):,} outcomes: log loss {losses}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=date.fromisoformat, default=date(2012, 12, 31), help="first day, UTC")
    parser.add_argument(
        "--end", type=date.fromisoformat, default=date(2013, 5, 21), help="first day that is not replayed"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0")
    parser.add_argument("--permute-labels", type=int, help="permute outcomes by day with this seed")
    return parser.parse_args()


if __name__ == "__main__":
    main()

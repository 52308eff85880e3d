"""Records of some days of a loop."""

from __future__ import annotations

import random

from driftloop.bus.ports import Outgoing
from tests.unit.monitoring.harness import Raw, route, served, watermark
from tests.unit.monitoring.rows import DIGEST


def story(
    seed: int = 3, days: int = 4, loop: str = "orders", route_to: Outgoing | None = None, digest: str = DIGEST
) -> list[Outgoing]:
    """Predictions by two releases; some outcomes arrive twice, some changed, some late and some never."""
    chance, raw = random.Random(seed), Raw(loop)
    records = [*watermark(0, loop), route_to or route("r-1", "r-2", loop)]
    waiting: list[tuple[float, str]] = []
    for hour in range(0, 24 * days, 3):
        for number in range(4):
            key, x = f"k-{hour}-{number}", chance.gauss(0, 2)
            score, other = chance.random(), ("r-2", chance.random())
            records.append(served(key, hour + number / 2, score, loop=loop, challenger=other, x=x, digest=digest))
            delay = chance.choice([3, 8, 20, 50])
            waiting += [(hour + delay + 20 * repeat, key) for repeat in range(chance.choice([0, 1, 1, 1, 2]))]
        due = sorted(outcome for outcome in waiting if outcome[0] < hour + 3)
        waiting = [outcome for outcome in waiting if outcome[0] >= hour + 3]
        records += raw.accepted([raw.row(key, due_hour, float(chance.random() < 0.4)) for due_hour, key in due])
        records += watermark(hour + 3, loop)
    return records

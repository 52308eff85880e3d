"""Some days of a loop, as records."""

from __future__ import annotations

import random

from driftloop.bus.ports import Outgoing
from tests.unit.monitoring.harness import Raw, route, served, watermark
from tests.unit.monitoring.rows import DIGEST


def story(
    seed: int = 3, days: int = 4, loop: str = "orders", route_to: Outgoing | None = None, digest: str = DIGEST
) -> list[Outgoing]:
    """Predictions by two releases, and outcomes of which some come twice, some changed, some late and some never."""
    chance, raw = random.Random(seed), Raw(loop)
    records = [*watermark(0, loop), route_to or route("r-1", "r-2", loop)]
    waiting: list[tuple[float, str]] = []
    for hour in range(0, 24 * days, 3):
        for at in range(4):
            key, x = f"k-{hour}-{at}", chance.gauss(0, 2)
            score, other = chance.random(), ("r-2", chance.random())
            records.append(served(key, hour + at / 2, score, loop=loop, challenger=other, x=x, digest=digest))
            delay = chance.choice([3, 8, 20, 50])
            waiting += [(hour + delay + 20 * again, key) for again in range(chance.choice([0, 1, 1, 1, 2]))]
        due = sorted(each for each in waiting if each[0] < hour + 3)
        waiting = [each for each in waiting if each[0] >= hour + 3]
        records += raw.accepted([raw.row(key, at, float(chance.random() < 0.4)) for at, key in due])
        records += watermark(hour + 3, loop)
    return records

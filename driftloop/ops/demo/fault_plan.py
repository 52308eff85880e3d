"""Which services a demo kills, and when: drawn with a seed before anything runs. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from driftloop.loop import LoopDefinition, to_ms
from driftloop.ops.demo.plan import Plan
from driftloop.process.errors import ConfigError

FAULT_TARGETS = ("ingestion", "features", "registry")
"""Killed in turn; the order is drawn."""
_LIFECYCLE = frozenset({"registry"})
"""Services that work only on lifecycle events, not in every step."""


@dataclass(frozen=True)
class Kill:
    """Kill a service at its first input after event time has reached the watermark."""

    service: str
    watermark_ms: int


def plan_kills(count: int, seed: int, plan: Plan, definition: LoopDefinition) -> list[Kill]:
    """Draw kills, oldest first: each in its own part of the days, at the end of a step.

    A lifecycle service is killed at a time after which it certainly has work: before the first champion, or before the
    last scheduled candidate within the days.

    Raises:
        ConfigError: the days end before such work, or are too few for so many kills.
    """
    chance = random.Random(seed)
    order = chance.sample(FAULT_TARGETS, len(FAULT_TARGETS))
    services = [order[number % len(order)] for number in range(count)]
    end_ms = plan.start_ms + (plan.end_ms - plan.start_ms) * 9 // 10  # so that work follows, and can complete
    work_ms = _last_work_ms(plan, definition)
    if work_ms is None and _LIFECYCLE & set(services):
        raise ConfigError("--kill needs days that reach the first champion: the registry has no work before")
    kills = []
    for number, service in enumerate(services):
        until_ms = work_ms if service in _LIFECYCLE and work_ms is not None else end_ms
        kills.append(Kill(service, _moment(chance, number, count, plan, until_ms)))
    return sorted(kills, key=lambda kill: kill.watermark_ms)


def _moment(chance: random.Random, number: int, count: int, plan: Plan, until_ms: int) -> int:
    """Draw the end of a step in part ``number`` of ``count`` equal parts of [start, until)."""
    step_ms = to_ms(plan.step)
    steps = (until_ms - plan.start_ms) // step_ms
    first, last = 1 + number * (steps - 1) // count, (number + 1) * (steps - 1) // count
    if last < first:
        raise ConfigError(f"--kill {count} needs more steps: {steps} are too few")
    return plan.start_ms + chance.randint(first, last) * step_ms


def _last_work_ms(plan: Plan, definition: LoopDefinition) -> int | None:
    """Return the last event time at which a candidate is certain to be trained; None if the days have none."""
    training = definition.training
    moments = [plan.start_ms + to_ms(training.first_champion_after)]
    if training.schedule is not None:
        every_ms = to_ms(training.schedule.every)
        moments += range(plan.start_ms + every_ms, plan.end_ms, every_ms)
    return max((moment for moment in moments if moment < plan.end_ms), default=None)

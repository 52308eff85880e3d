"""Training policies for tests."""

from __future__ import annotations

from typing import Any

from driftloop.loop.definition import TrainingDefinition

DAY_MS = 86_400_000


def policy(**changes: Any) -> TrainingDefinition:
    """Return a policy for tests.

    First champion after 3 days, no schedule, no cooldown, breaker at 3; windows of 4, 8, 2 and 6 days.
    """
    defaults: dict[str, Any] = {
        "first_champion_after": "3d",
        "window": {"first_champion": "4d", "drift": "8d", "schedule": "2d", "command": "6d"},
        "validation": "1d",
        "breaker": 3,
        "seed": 100,
    }
    return TrainingDefinition.model_validate({**defaults, **changes})

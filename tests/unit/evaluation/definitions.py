"""A loop definition for tests."""

from __future__ import annotations

from typing import Any

from driftloop.loop import LoopDefinition

DAY_MS = 86_400_000

STEPS: list[dict[str, Any]] = [
    {"stage": "shadow", "min_blocks": 3, "max_blocks": 6},
    {"stage": "canary", "share": 0.1, "min_blocks": 2, "max_blocks": 4, "margin": -0.02, "evidence": "stage"},
]


def loop_definition(
    name: str = "orders",
    steps: list[dict[str, Any]] | None = None,
    offline: dict[str, Any] | None = None,
    resamples: int = 500,
) -> LoopDefinition:
    """Return a loop with blocks of one day."""
    return LoopDefinition.model_validate(
        {
            "loop": name,
            "description": "orders that are sent back",
            "events": {
                "orders.placed": {
                    "message": "orders.v1.Placed",
                    "id": "event_id",
                    "key": "order",
                    "time": "event_time_ms",
                }
            },
            "prediction": {
                "key": "order",
                "from": "orders.placed",
                "decision_time": {"column": "event_time_ms"},
                "inputs": {},
                "join_keys": {"shop": {"const": "all"}},
                "feature_service": "orders_v1",
            },
            "label": {
                "from": "orders.placed",
                "key": "order",
                "value": "returned",
                "kind": "binary",
                "horizon": "14d",
            },
            "training": {
                "first_champion_after": "7d",
                "window": {"first_champion": "7d", "drift": "7d", "schedule": "7d", "command": "7d"},
                "validation": "2d",
            },
            "offline": offline or {"min_rows": 10},
            "rollout": {"steps": steps or STEPS, "resamples": resamples},
        }
    )

"""Builds loop definitions for tests."""

from __future__ import annotations

from typing import Any

from driftloop.loop import LoopDefinition

SPANS = {"first_champion": "7d", "drift": "7d", "schedule": "7d", "command": "7d"}


def loop_data(name: str = "orders", **sections: Any) -> dict[str, Any]:
    """Return the content of a ``loop.yaml``: events `placed` and `returned`, a binary label, a shadow step.

    A section replaces the default values of its keys; ``events`` and texts replace the whole default.
    """
    data: dict[str, Any] = {
        "loop": name,
        "description": "orders that are sent back",
        "events": {
            event: {"message": f"o.v1.{event.title()}", "id": "id", "key": "order", "time": "at"}
            for event in ("placed", "returned")
        },
        "prediction": {
            "key": "order",
            "from": "placed",
            "decision_time": {"column": "at"},
            "inputs": {},
            "join_keys": {"all": {"const": "all"}},
            "feature_service": f"{name}_v1",
        },
        "label": {"from": "returned", "key": "order", "value": "back", "kind": "binary", "horizon": "36h"},
        "training": {"first_champion_after": "7d", "window": SPANS, "validation": "2d"},
        "rollout": {"steps": [{"stage": "shadow", "min_blocks": 2, "max_blocks": 4}]},
    }
    for section, values in sections.items():
        merges = isinstance(values, dict) and section in data and section != "events"
        data[section] = {**data[section], **values} if merges else values
    return data


def loop_definition(name: str = "orders", **sections: Any) -> LoopDefinition:
    """Return the definition with the content of `loop_data`."""
    return LoopDefinition.model_validate(loop_data(name, **sections))

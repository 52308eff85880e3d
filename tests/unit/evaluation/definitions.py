"""A loop definition for tests of evaluation and registry."""

from __future__ import annotations

from typing import Any

from driftloop.loop import LoopDefinition
from tests.helpers import loop_definition as build

DAY_MS = 86_400_000

STEPS: list[dict[str, Any]] = [
    {"stage": "shadow", "min_blocks": 3, "max_blocks": 6},
    {"stage": "canary", "share": 0.1, "min_blocks": 2, "max_blocks": 4, "margin": -0.02, "evidence": "stage"},
]


def loop_definition(name: str = "orders", steps: list[dict[str, Any]] | None = None) -> LoopDefinition:
    """Return a loop with blocks of one day."""
    rollout = {"steps": steps or STEPS, "resamples": 500}
    return build.loop_definition(name, label={"horizon": "14d"}, offline={"min_rows": 10}, rollout=rollout)

"""Settings of the evaluation service: those that every process shares. The policy is in each `loop.yaml`."""

from __future__ import annotations

from driftloop.process.settings import Settings


class EvaluationSettings(Settings):
    """Settings of the evaluation service."""

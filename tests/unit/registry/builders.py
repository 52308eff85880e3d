"""Build releases, verdicts and policies."""

from __future__ import annotations

from typing import Any

from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.loop.definition import Step
from services.registry.domain.release import ReleaseRecord
from services.registry.domain.transitions import Policy
from services.registry.domain.verdict import Verdict

DAY_MS = 86_400_000

SHADOW = {"stage": "shadow", "min_blocks": 2, "max_blocks": 5}
CANARY = {"stage": "canary", "share": 0.1, "min_blocks": 2, "max_blocks": 4}
WIDER = {"stage": "canary", "share": 0.5, "min_blocks": 2, "max_blocks": 4}


def policy(*steps: dict[str, Any]) -> Policy:
    return Policy([Step.model_validate(step) for step in steps or (SHADOW, CANARY)], DAY_MS)


def candidate(number: int) -> ReleaseRecord:
    return ReleaseRecord(
        f"r-{number}", f"run-{number}", f"request-{number}", f"/b/{number}", f"digest-{number}", f"chain-{number}"
    )


def offline(number: int, outcome: VerdictOutcome = VerdictOutcome.BETTER, time_ms: int = 0) -> Verdict:
    return Verdict(f"r-{number}", "offline", outcome, time_ms, evidence=(f"v-{number}",), reason="all gates passed")


def in_stage(
    number: int, stage: str, step: int, outcome: VerdictOutcome, time_ms: int, *, limit: bool = False
) -> Verdict:
    return Verdict(f"r-{number}", stage, outcome, time_ms, step, limit, (f"v-{number}-{time_ms}", "w-1"), "as measured")

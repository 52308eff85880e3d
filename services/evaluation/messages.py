"""Turns judgements into events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from driftloop.contracts import evaluation_pb2 as messages
from driftloop.contracts import training_pb2 as training
from driftloop.events import ids
from driftloop.events.envelope import Draft
from services.evaluation.domain.judgement import Interval, Judgement
from services.evaluation.ports import Candidate, StageEntry


def release_id(loop: str, run_id: str) -> str:
    """Return the release name for a run's bundle."""
    return ids.short_id("r", loop, run_id)


def offline_verdict_id(loop: str, release: str) -> str:
    """Return the id of the offline verdict on a release."""
    return ids.event_id("evaluation.verdict-reached", loop, release, "offline")


def stage_verdict_id(entry: StageEntry, window_id: str) -> str:
    """Return the id of the verdict on a release in a step at a window's end."""
    return ids.event_id("evaluation.verdict-reached", entry.loop, entry.release_id, entry.step, window_id)


def offline_verdict(
    judgement: Judgement, candidate: Candidate, request_id: str, compared_with: str, verdict_id: str, time_ms: int
) -> Draft:
    """Return the offline verdict; ``compared_with`` is empty if the interval compares with the base rate."""
    data = _verdict(judgement, candidate.loop, verdict_id, "offline", candidate.release_id)
    data.champion_release_id = compared_with
    data.request_id = request_id
    data.run_id = candidate.run_id
    data.bundle.CopyFrom(training.Bundle(uri=candidate.bundle_uri, digest=candidate.bundle_digest))
    data.window_end_ms = time_ms
    return Draft(id=verdict_id, loop=candidate.loop, time_ms=time_ms, data=data)


def stage_verdict(
    judgement: Judgement, entry: StageEntry, evidence_ids: Sequence[str], verdict_id: str, time_ms: int
) -> Draft:
    """Return the verdict of one window in shadow or canary, in the release's chain."""
    data = _verdict(judgement, entry.loop, verdict_id, entry.stage, entry.release_id)
    data.champion_release_id = entry.champion_release_id
    data.evidence_ids.extend(evidence_ids)
    data.step = entry.step
    data.window_end_ms = time_ms
    return Draft(id=verdict_id, loop=entry.loop, time_ms=time_ms, data=data, chain=entry.chain, cause_id=entry.event_id)


def _verdict(judgement: Judgement, loop: str, verdict_id: str, stage: str, release: str) -> messages.VerdictReached:
    return messages.VerdictReached(
        loop=loop,
        verdict_id=verdict_id,
        stage=stage,
        release_id=release,
        outcome=judgement.outcome.name,
        interval=None if judgement.interval is None else _interval(judgement.interval),
        margin=judgement.margin,
        reasons=judgement.reasons,
        limit_reached=judgement.limit_reached,
        metrics=judgement.metrics,
        slices=[messages.Slice(name=name, interval=_interval(gain)) for name, gain in judgement.slices.items()],
    )


def _interval(interval: Interval) -> messages.Interval:
    return messages.Interval(**asdict(interval))

"""Checks which release answered which keys, and the age of features."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from driftloop.contracts import registry_pb2 as registry
from driftloop.events.envelope import Envelope
from driftloop.ops.checks.model import Check
from driftloop.ops.checks.predictions import Predictions

_LEVEL = 0.99


def arms(predictions: Predictions) -> Check:
    """Check that under one route a key is always answered by the same release."""
    answered: dict[tuple[str, int], set[str]] = defaultdict(set)
    for key, epoch, release in zip(predictions.key, predictions.epoch, predictions.release, strict=True):
        answered[key, int(epoch)].add(release)
    return Check("each key keeps its arm", len(answered), sum(len(releases) > 1 for releases in answered.values()))


def canary_shares(predictions: Predictions, events: Sequence[Envelope[Any]]) -> list[Check]:
    """Check that the challenger's share of keys is within the binomial 99 % interval around its route's share."""
    routes = [event.data for event in events if isinstance(event.data, registry.RouteChanged)]
    return [_share(predictions, route) for route in routes if route.challenger_share > 0]


def _share(predictions: Predictions, route: registry.RouteChanged) -> Check:
    from scipy.stats import binomtest  # takes a second to import

    under = predictions.take((predictions.epoch == route.epoch) & ~predictions.probe)
    keys = {key: release == route.challenger.release_id for key, release in zip(under.key, under.release, strict=True)}
    challenged = sum(keys.values())
    if not keys:
        return Check(f"canary share under epoch {route.epoch}", 0, 0, "no key was requested")
    p = float(binomtest(challenged, len(keys), route.challenger_share).pvalue)
    detail = (
        f"{challenged} of {len(keys)} keys, {challenged / len(keys):.4f} for {route.challenger_share:g}; p = {p:.3f}"
    )
    return Check(f"canary share under epoch {route.epoch}", len(keys), int(p < 1 - _LEVEL), detail)


def feature_age(predictions: Predictions, step_ms: int) -> tuple[Check, float, float]:
    """Check that the 99th percentile of feature age is at most one step; also return median and p99 in seconds."""
    age_ms = (predictions.decision_time_ms - predictions.feature_watermark_ms)[~predictions.probe]
    if not len(age_ms):
        return Check("feature age", 0, 0), 0.0, 0.0
    p50, p99 = (float(np.percentile(age_ms, q)) for q in (50, 99))
    detail = f"p50 {p50 / 1000:.0f} s, p99 {p99 / 1000:.0f} s, newest {age_ms.min() / 1000:.0f} s"
    return Check("feature age p99 within a step", len(age_ms), int(p99 > step_ms), detail), p50 / 1000, p99 / 1000

"""Served scores against the bundles' own graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from driftloop.contracts import registry_pb2 as registry
from driftloop.events.envelope import Envelope
from driftloop.model.bundle import MODEL, Bundle, local_path, open_bundle
from driftloop.model.path_relocation import PathResolver
from driftloop.ops.checks.model import Check
from driftloop.ops.checks.predictions import Predictions

_TOLERANCE = 1e-6
_BATCH = 8192


def bundles(events: Sequence[Envelope[Any]], resolve_path: PathResolver = local_path) -> dict[str, Bundle]:
    """Bundle of every release that was created."""
    refs = [event.data.release for event in events if isinstance(event.data, registry.ReleaseCreated)]
    return {ref.release_id: open_bundle(resolve_path(ref.bundle.uri), ref.bundle.digest) for ref in refs}


def score_checks(predictions: Predictions, found: Mapping[str, Bundle]) -> list[Check]:
    """Every logged score of every release, recomputed from the logged inputs."""
    return [_scores(predictions, release, bundle) for release, bundle in found.items()]


def _scores(predictions: Predictions, release: str, bundle: Bundle) -> Check:
    chosen = np.array([release in scores for scores in predictions.scores], dtype=np.bool_)
    rows = predictions.take(chosen)
    if not len(rows):
        return Check(f"scores of {release}", 0, 0, "never scored")
    if set(rows.input_digest) != {bundle.manifest.input_digest}:
        return Check(f"scores of {release}", len(rows), len(rows), "logged inputs are not this release's")
    computed = _run(bundle, rows)
    if bundle.manifest.classes:  # the score is that of the likeliest class
        computed = np.column_stack([computed.max(axis=1), computed])
    said = [scores[release] for scores in rows.scores]
    if {len(each) for each in said} != {computed.shape[1]}:
        return Check(f"scores of {release}", len(rows), len(rows), f"logged are not {computed.shape[1]} numbers each")
    difference = np.abs(np.array(said) - computed).max(axis=1)
    wrong = ~(difference <= _TOLERANCE)
    return Check(f"scores of {release}", len(rows), int(wrong.sum()), f"largest difference {difference.max():.1e}")


def _run(bundle: Bundle, rows: Predictions) -> Any:
    session = ort.InferenceSession(bundle.read(MODEL), providers=["CPUExecutionProvider"])
    wants = {each.name for each in session.get_inputs()}
    parts = []
    for start in range(0, len(rows), _BATCH):
        feed = {
            "numeric": rows.numeric[start : start + _BATCH],
            "categorical": rows.categorical[start : start + _BATCH],
        }
        parts.append(session.run(["score"], {name: value for name, value in feed.items() if name in wants})[0])
    return np.concatenate(parts).reshape(len(rows), -1)

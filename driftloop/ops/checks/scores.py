"""Checks served scores against the bundles' own graphs."""

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
    """Return the bundle of every created release."""
    refs = [event.data.release for event in events if isinstance(event.data, registry.ReleaseCreated)]
    return {ref.release_id: open_bundle(resolve_path(ref.bundle.uri), ref.bundle.digest) for ref in refs}


def score_checks(predictions: Predictions, by_release: Mapping[str, Bundle]) -> list[Check]:
    """Check every logged score of every release, recomputed from the logged inputs."""
    return [_scores(predictions, release, bundle) for release, bundle in by_release.items()]


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
    logged = [scores[release] for scores in rows.scores]
    if {len(row) for row in logged} != {computed.shape[1]}:
        return Check(
            f"scores of {release}", len(rows), len(rows), f"the log has other than {computed.shape[1]} numbers per row"
        )
    difference = np.abs(np.array(logged) - computed).max(axis=1)
    wrong = ~(difference <= _TOLERANCE)
    return Check(f"scores of {release}", len(rows), int(wrong.sum()), f"largest difference {difference.max():.1e}")


def _run(bundle: Bundle, rows: Predictions) -> Any:
    session = ort.InferenceSession(bundle.read(MODEL), providers=["CPUExecutionProvider"])
    names = {input_.name for input_ in session.get_inputs()}
    parts = []
    for start in range(0, len(rows), _BATCH):
        feed = {
            "numeric": rows.numeric[start : start + _BATCH],
            "categorical": rows.categorical[start : start + _BATCH],
        }
        parts.append(session.run(["score"], {name: value for name, value in feed.items() if name in names})[0])
    return np.concatenate(parts).reshape(len(rows), -1)

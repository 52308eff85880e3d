"""A model card for a release (Mitchell et al., Model Cards for Model Reporting, 2019), as numbers. Pure.

Its sections are filled with what events and the bundle say. What they cannot say is left out, and `caveats` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.events.envelope import Envelope, rfc3339
from driftloop.loop import LoopDefinition
from driftloop.ops.report import production, releases
from driftloop.ops.report.bundles import Read, ReadBundle
from driftloop.ops.report.caveats import caveats
from driftloop.readmodel.attempts import Attempt, attempts
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.releases import ReleaseState


def card(
    loop: str,
    release_id: str,
    events: Sequence[Envelope[Any]],
    definition: LoopDefinition | None,
    read_bundle: ReadBundle,
) -> dict[str, Any]:
    """All that the card of a release holds; ``events`` has at least one that names the release."""
    history = LoopHistory(loop, events)
    own = list(history.events.values())
    run = next((attempt for attempt in attempts(history) if attempt.release_id == release_id), None)
    life = next(release for release in releases.releases(history) if release["id"] == release_id)
    read = _bundle(run, read_bundle)
    found = production.windows(history.releases[release_id], own)
    told = {
        "loop": loop,
        "release": release_id,
        "intended_use": definition.description if definition else None,
        "details": _details(run, life, read),
        "training": _training(run, read),
        "factors": {"slices": [each.name for each in _last_slices(history.releases[release_id])]},
        "verdicts": life["verdicts"],
        "slices": [_slice(each) for each in _last_slices(history.releases[release_id])],
        "stages": life["stages"],
        "production": {"phases": production.phases(found), "windows": found},
        "calibration": production.calibration(found),
        "outcomes": production.joins(release_id, own),
        "missing_inputs": {
            name: {"production": share, "training": read.missing.get(name)}
            for name, share in production.missing_inputs(release_id, own).items()
        },
        "bundle": read.to_json(),
    }
    return {**told, "caveats": caveats(told)}


def _bundle(run: Attempt | None, read_bundle: ReadBundle) -> Read:
    if run is None or run.trained is None:
        return Read(problem="no event says about the run that made it")
    bundle = run.trained.data.bundle
    return read_bundle(bundle.uri, bundle.digest)


def _details(run: Attempt | None, life: dict[str, Any], read: Read) -> dict[str, Any]:
    stage = life["stages"][-1] if life["stages"] else {"stage": "never entered a stage", "at": None}
    told = {"stage": stage["stage"], "since": stage["at"]}
    if run is None or run.trained is None:
        return told
    asked, trained = run.request, run.trained
    return {
        **told,
        "run": trained.data.run_id,
        "mlflow_run": trained.data.mlflow_run_id,
        "request": asked.data.request_id,
        "asked_for_by": [{"kind": each.kind, "detail": each.detail} for each in asked.data.reasons],
        "trained_at": rfc3339(trained.time_ms),
        "trained_wall_time": rfc3339(trained.wall_time_ms),
        "training_s": trained.data.duration_s,
        "bundle_uri": trained.data.bundle.uri,
        "bundle_digest": trained.data.bundle.digest,
        "commands": [{"who": each.data.who, "why": each.data.why, "type": each.type} for each in run.commands],
        "label_kind": read.manifest.label_kind if read.manifest else None,
        "trainer": read.manifest.training.get("trainer") if read.manifest else None,
        "imported_from": asked.data.model.source or None,
    }


def _training(run: Attempt | None, read: Read) -> dict[str, Any]:
    """From events; the manifest adds what only it knows."""
    if run is None or run.trained is None:
        return {}
    asked, trained, manifest = run.request.data, run.trained.data, read.manifest
    started = run.started.data if run.started else None
    told = dict(manifest.training) if manifest else {}
    return {
        "window": {"start": rfc3339(asked.window_start_ms), "end": rfc3339(asked.window_end_ms)},
        "rows": trained.training_rows,
        "validation_rows": told.get("validation_rows"),
        "seed": asked.seed,
        "metrics": dict(trained.metrics),
        "lake_versions": dict(started.lake_versions) if started else told.get("lake_versions", {}),
        "view_versions": dict(started.view_versions) if started else told.get("view_versions", {}),
        "parameters": told.get("parameters"),
        "code_sha256": told.get("code_sha256"),
        "environment_sha256": told.get("environment_sha256"),
        "frame_sha256": told.get("frame_sha256"),
        "numeric_inputs": [each.name for each in manifest.numeric] if manifest else None,
        "categorical_inputs": [each.name for each in manifest.categorical] if manifest else None,
    }


def _last_slices(release: ReleaseState) -> list[evaluation.Slice]:
    """Return the slices of the newest verdict that has slices."""
    return next((list(verdict.data.slices) for verdict in reversed(release.verdicts) if verdict.data.slices), [])


def _slice(each: evaluation.Slice) -> dict[str, Any]:
    found = each.interval
    names = ("estimate", "lower", "upper", "level", "blocks", "rows")
    return {"name": each.name, **{name: getattr(found, name) for name in names}}

"""A model card for a release (Mitchell et al., Model Cards for Model Reporting, 2019), as numbers. Pure.

Its content comes from events and the bundle. What they do not have is left out, and `caveats` says so.
"""

from __future__ import annotations

from typing import Any

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.events.envelope import rfc3339
from driftloop.loop import LoopDefinition
from driftloop.ops.report import production, releases
from driftloop.ops.report.bundles import BundleContent, ReadBundle
from driftloop.ops.report.caveats import caveats
from driftloop.readmodel.attempts import Attempt, attempts
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.releases import ReleaseState


def card(
    history: LoopHistory, release_id: str, definition: LoopDefinition | None, read_bundle: ReadBundle
) -> dict[str, Any]:
    """Return the content of a release's card. ``history`` has the release."""
    run = next((attempt for attempt in attempts(history) if attempt.release_id == release_id), None)
    life = next(release for release in releases.releases(history) if release["id"] == release_id)
    read = _bundle(run, read_bundle)
    slices = _last_slices(history.releases[release_id])
    windows = production.windows(history.releases[release_id], history)
    content = {
        "loop": history.loop,
        "release": release_id,
        "intended_use": definition.description if definition else None,
        "details": _details(run, life, read),
        "training": _training(run, read),
        "factors": {"slices": [slice_.name for slice_ in slices]},
        "verdicts": life["verdicts"],
        "slices": [_slice(slice_) for slice_ in slices],
        "stages": life["stages"],
        "production": {"phases": production.phases(windows), "windows": windows},
        "calibration": production.calibration(windows),
        "outcomes": production.joins(release_id, history),
        "missing_inputs": {
            name: {"production": share, "training": read.missing.get(name)}
            for name, share in production.missing_inputs(release_id, history).items()
        },
        "bundle": read.to_json(),
    }
    return {**content, "caveats": caveats(content)}


def _bundle(run: Attempt | None, read_bundle: ReadBundle) -> BundleContent:
    if run is None or run.trained is None:
        return BundleContent(problem="no event names the run that made it")
    bundle = run.trained.data.bundle
    return read_bundle(bundle.uri, bundle.digest)


def _details(run: Attempt | None, life: dict[str, Any], read: BundleContent) -> dict[str, Any]:
    stage = life["stages"][-1] if life["stages"] else {"stage": "never entered a stage", "at": None}
    details = {"stage": stage["stage"], "since": stage["at"]}
    if run is None or run.trained is None:
        return details
    request, trained = run.request, run.trained
    return {
        **details,
        "run": trained.data.run_id,
        "mlflow_run": trained.data.mlflow_run_id,
        "request": request.data.request_id,
        "asked_for_by": [{"kind": reason.kind, "detail": reason.detail} for reason in request.data.reasons],
        "trained_at": rfc3339(trained.time_ms),
        "trained_wall_time": rfc3339(trained.wall_time_ms),
        "training_s": trained.data.duration_s,
        "bundle_uri": trained.data.bundle.uri,
        "bundle_digest": trained.data.bundle.digest,
        "commands": [
            {"who": command.data.who, "why": command.data.why, "type": command.type} for command in run.commands
        ],
        "label_kind": read.manifest.label_kind if read.manifest else None,
        "trainer": read.manifest.training.get("trainer") if read.manifest else None,
        "imported_from": request.data.model.source or None,
    }


def _training(run: Attempt | None, read: BundleContent) -> dict[str, Any]:
    """Return the training of a release, from events and its manifest."""
    if run is None or run.trained is None:
        return {}
    request, trained, manifest = run.request.data, run.trained.data, read.manifest
    started = run.started.data if run.started else None
    recorded = dict(manifest.training) if manifest else {}
    return {
        "window": {"start": rfc3339(request.window_start_ms), "end": rfc3339(request.window_end_ms)},
        "rows": trained.training_rows,
        "validation_rows": recorded.get("validation_rows"),
        "seed": request.seed,
        "metrics": dict(trained.metrics),
        "lake_versions": dict(started.lake_versions) if started else recorded.get("lake_versions", {}),
        "view_versions": dict(started.view_versions) if started else recorded.get("view_versions", {}),
        "parameters": recorded.get("parameters"),
        "code_sha256": recorded.get("code_sha256"),
        "environment_sha256": recorded.get("environment_sha256"),
        "frame_sha256": recorded.get("frame_sha256"),
        "numeric_inputs": [input_.name for input_ in manifest.numeric] if manifest else None,
        "categorical_inputs": [input_.name for input_ in manifest.categorical] if manifest else None,
    }


def _last_slices(release: ReleaseState) -> list[evaluation.Slice]:
    """Return the slices of the newest verdict that has slices."""
    return next((list(verdict.data.slices) for verdict in reversed(release.verdicts) if verdict.data.slices), [])


def _slice(slice_: evaluation.Slice) -> dict[str, Any]:
    names = ("estimate", "lower", "upper", "level", "blocks", "rows")
    return {"name": slice_.name, **{name: getattr(slice_.interval, name) for name in names}}

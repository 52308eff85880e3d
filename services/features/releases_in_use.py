"""What the releases that score now read: it must stay in the definitions until other releases have replaced them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from driftloop.loop.load import Loop
from driftloop.model.bundle import MANIFEST, Input, Manifest, parse_manifest
from driftloop.process.errors import BundleError
from driftloop.process.settings import Settings
from services.features.domain.views import ViewSpec


def in_use_problems(loop: Loop, views: Iterable[ViewSpec], settings: Settings) -> Iterator[str]:
    """Return what the loop's champion and challenger read and its definitions no longer have."""
    features = {(view.view, name): kind for view in views for name, kind in zip(view.features, view.kinds, strict=True)}
    names = {view for view, _ in features}
    path = settings.feature_repo / f"{loop.name}.py"
    for release, manifest in manifests_in_use(settings.triton, loop.name).items():
        keep = f"keep it until another release has replaced {release}"
        inputs = (*manifest.numeric, *manifest.categorical)
        for view in sorted({column.view for column in inputs if column.source == "feature"} - names):
            yield f"{path}:1: {release} reads the view {view!r}, which is no longer defined; {keep}"
        for column in inputs:
            if column.source == "feature" and column.view in names:
                yield from _changed(column, features.get((column.view, column.feature)), f"{path}:1", release, keep)
            elif column.source == "request":
                where = loop.line_of("prediction", "inputs")
                yield from _changed(column, _sent_as(loop, column.name), where, release, keep)
        label = loop.definition.label
        if (manifest.label_kind, manifest.classes) != (label.kind, label.classes):
            scores = f"{manifest.label_kind} {', '.join(manifest.classes)}".strip()
            yield f"{loop.line_of('label', 'kind')}: {release} scores {scores}; create a new loop for another label"


def manifests_in_use(triton: Path, loop: str) -> Mapping[str, Manifest]:
    """Return the manifests of the loop's champion and challenger by release, as staged for the router; empty if none.

    Nothing is returned for a file that cannot be read: the agent reports it.
    """
    try:
        route = json.loads((triton / "routes" / f"{loop}.json").read_bytes())
        names = [route[role]["release_id"] for role in ("champion", "challenger") if route[role]]
        folders = {name: triton / "releases" / name / MANIFEST for name in names}
        return {name: parse_manifest(path.read_bytes()) for name, path in folders.items()}
    except (OSError, ValueError, KeyError, TypeError, BundleError):
        return {}


def _sent_as(loop: Loop, name: str) -> str | None:
    declared = loop.definition.prediction.inputs.get(name)
    if declared is None:
        return None
    return "string" if declared.type == "string" else "double"


def _changed(column: Input, kind: str | None, where: str, release: str, keep: str) -> Iterator[str]:
    if kind is None:
        yield f"{where}: {release} reads {column.name!r}, which is no longer defined; {keep}"
    elif kind != column.dtype:
        yield f"{where}: {release} reads {column.name!r} as {column.dtype}, and now it is {kind}; {keep}"

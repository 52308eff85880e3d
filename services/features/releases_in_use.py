"""What releases in use read: it must stay in the definitions until other releases have replaced them.

In use are the champion, the challenger, and the champion before, which a rollback restores at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from driftloop.loop.load import Loop
from driftloop.model.bundle import MANIFEST, Input, Manifest, parse_manifest
from driftloop.process.errors import BundleError
from driftloop.process.settings import Settings
from services.features.domain.views import ViewSpec

_KEEP = {
    "champion": "keep it until another release has replaced {release}",
    "challenger": "keep it until another release has replaced {release}",
    "rollback_to": "a rollback restores {release}, so keep it until the next promotion",
}
"""What to do, by the release's role in the route."""


def in_use_problems(loop: Loop, views: Iterable[ViewSpec], settings: Settings) -> Iterator[str]:
    """Return what the loop's releases in use read and its definitions no longer have."""
    features = {(view.view, name): kind for view in views for name, kind in zip(view.features, view.kinds, strict=True)}
    names = {view for view, _ in features}
    path = settings.feature_repo / f"{loop.name}.py"
    for release, role, manifest in releases_in_use(settings.triton, loop.name):
        keep = _KEEP[role].format(release=release)
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


def releases_in_use(triton: Path, loop: str) -> Iterator[tuple[str, str, Manifest]]:
    """Return id, role and manifest of each release in use, as staged for the router.

    A file that cannot be read is passed over: the agent reports it.
    """
    try:
        route = json.loads((triton / "routes" / f"{loop}.json").read_bytes())
        names = {role: route[role]["release_id"] for role in _KEEP if route.get(role)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    for role, name in names.items():
        with suppress(OSError, ValueError, TypeError, BundleError):
            yield name, role, parse_manifest((triton / "releases" / name / MANIFEST).read_bytes())


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

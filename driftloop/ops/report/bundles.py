"""Reads the manifest and the missing shares of a release's bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from driftloop.model.bundle import REFERENCE, Manifest, local_path, open_bundle
from driftloop.model.path_relocation import PathResolver
from driftloop.process.errors import BundleError


@dataclass(frozen=True)
class BundleContent:
    """The content of a bundle, or the problem that prevented reading it."""

    manifest: Manifest | None = None
    problem: str = ""
    """Empty if it could be read."""
    missing: dict[str, float] = field(default_factory=dict)
    """Share of the training rows in which each input was missing."""

    def to_json(self) -> dict[str, Any]:
        """Return the manifest without the digests of its files, or the problem."""
        if self.manifest is None:
            return {"problem": self.problem}
        manifest = asdict(self.manifest)
        return {"problem": None, **{name: manifest[name] for name in _FIELDS}}


_FIELDS = ("label_kind", "feature_service", "numeric", "categorical", "training")

ReadBundle = Callable[[str, str], BundleContent]
"""Returns the content of a bundle, by URI and digest."""


def read_bundle(uri: str, digest: str, resolve_path: PathResolver = local_path) -> BundleContent:
    """Read a bundle on this machine and verify its digest."""
    if not uri:
        return BundleContent(problem="no event names its bundle")
    try:
        bundle = open_bundle(resolve_path(uri), digest)
        return BundleContent(bundle.manifest, missing=_missing(bundle.read(REFERENCE)))
    except BundleError as error:
        return BundleContent(problem=str(error))


def _missing(reference: bytes) -> dict[str, float]:
    data = json.loads(reference)
    inputs = {**data["inputs"], **data.get("categorical", {})}
    rows = {name: grid["missing"] + sum(grid["counts"]) + grid.get("other", 0) for name, grid in inputs.items()}
    return {name: grid["missing"] / rows[name] for name, grid in inputs.items() if rows[name]}

"""What a release's bundle says about itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from driftloop.model.bundle import REFERENCE, Manifest, local_path, open_bundle
from driftloop.model.path_relocation import PathResolver
from driftloop.process.errors import BundleError


@dataclass(frozen=True)
class Read:
    """A bundle as far as it could be read."""

    manifest: Manifest | None = None
    problem: str = ""
    """Why it could not; empty where it could."""
    missing: dict[str, float] = field(default_factory=dict)
    """Share of the training rows in which each numeric input was missing."""

    def to_json(self) -> dict[str, Any]:
        """The manifest without the digests of its files, or the problem."""
        if self.manifest is None:
            return {"problem": self.problem}
        told = asdict(self.manifest)
        return {"problem": None, **{name: told[name] for name in _TOLD}}


_TOLD = ("label_kind", "feature_service", "numeric", "categorical", "training")

ReadBundle = Callable[[str, str], Read]
"""From a bundle's URI and digest to what it says."""


def read_bundle(uri: str, digest: str, resolve_path: PathResolver = local_path) -> Read:
    """Read a bundle of this machine, and hold all of it against its digest."""
    if not uri:
        return Read(problem="no event names its bundle")
    try:
        bundle = open_bundle(resolve_path(uri), digest)
        return Read(bundle.manifest, missing=_missing(bundle.read(REFERENCE)))
    except BundleError as error:
        return Read(problem=str(error))


def _missing(reference: bytes) -> dict[str, float]:
    inputs = json.loads(reference)["inputs"]
    rows = {name: each["missing"] + sum(each["counts"]) for name, each in inputs.items()}
    return {name: each["missing"] / rows[name] for name, each in inputs.items() if rows[name]}

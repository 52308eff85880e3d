"""Read references from bundles on local disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from driftloop.model.bundle import REFERENCE, local_path, open_bundle
from driftloop.model.path_relocation import PathResolver
from driftloop.process.errors import BundleError
from services.monitoring.domain.psi import Categories, Grid, Reference
from services.monitoring.ports import ReleaseInfo

_FORMAT = 1


class LocalReferences:
    """Opens references of bundles on local disk."""

    def __init__(self, resolve_path: PathResolver = local_path) -> None:
        self._locate = resolve_path

    def open(self, release: ReleaseInfo) -> Reference:
        bundle = open_bundle(self._locate(release.uri), release.digest)
        inputs, score, categories = _grids(bundle.read(REFERENCE), bundle.folder / REFERENCE)
        return Reference(
            release_id=release.release_id,
            input_digest=bundle.manifest.input_digest,
            numeric=tuple(field.name for field in bundle.manifest.numeric),
            categorical=tuple(field.name for field in bundle.manifest.categorical),
            inputs=inputs,
            score=score,
            categories=categories,
        )


def _grids(content: bytes, path: Path) -> tuple[dict[str, Grid], Grid | None, dict[str, Categories]]:
    try:
        data = json.loads(content)
        if data["format"] != _FORMAT:
            raise BundleError(f"{path}: format {data['format']!r}; this version reads {_FORMAT}")
        categories = data.get("categorical", {})  # bundles of older versions have none
        return (
            {name: _grid(grid) for name, grid in data["inputs"].items()},
            _grid(data["score"]),
            {name: _categories(histogram) for name, histogram in categories.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{path}: {error!r}") from error


def _grid(data: Any) -> Grid:
    edges = np.asarray(data["edges"], dtype=np.float64)
    counts = np.asarray(data["counts"], dtype=np.int64)
    if len(counts) != len(edges) + 1:
        raise ValueError(f"{len(edges)} edges and {len(counts)} counts")
    return Grid(edges, counts, int(data["missing"]))


def _categories(data: Any) -> Categories:
    values, counts = tuple(map(str, data["values"])), [*data["counts"], data["other"]]
    if len(counts) != len(values) + 1 or len(set(values)) != len(values):
        raise ValueError(f"{len(values)} values and {len(counts) - 1} counts")
    return Categories(values, np.asarray(counts, dtype=np.int64), int(data["missing"]))

"""Bundles on local disk."""

from __future__ import annotations

from driftloop.model.bundle import local_path, open_bundle
from driftloop.model.path_relocation import PathResolver
from services.evaluation.ports import Scorer


class LocalBundles:
    """`services.evaluation.ports.Bundles` on local disk."""

    def __init__(self, resolve_path: PathResolver = local_path) -> None:
        self._resolve_path = resolve_path

    def open(self, uri: str, digest: str) -> Scorer:
        from services.evaluation.adapters.onnx_scorer import OnnxScorer  # loads ONNX Runtime with the first candidate

        return OnnxScorer(open_bundle(self._resolve_path(uri), digest))

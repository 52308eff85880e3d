"""Bundles on local disk, scored by ONNX Runtime."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from driftloop.model.bundle import GOLDEN, MODEL, Bundle, local_path, open_bundle
from driftloop.model.losses import LabelKind
from driftloop.model.path_relocation import PathResolver
from driftloop.model.scores import as_scores
from driftloop.process.errors import BundleError
from services.evaluation.ports import Floats, Objects, Scorer

_ROWS_AT_ONCE = 8192


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Return the exception types of ONNX Runtime, which share no base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        ValueError,
        KeyError,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    )


class OnnxScorer:
    """`services.evaluation.ports.Scorer` over a bundle's ``model.onnx``, on one thread."""

    def __init__(self, bundle: Bundle) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        model = bundle.read(MODEL)
        try:
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except _runtime_errors() as error:
            raise BundleError(f"{bundle.folder / MODEL} is no model: {error}") from error
        self._bundle = bundle

    @property
    def kind(self) -> LabelKind:
        return self._bundle.manifest.label_kind

    @property
    def classes(self) -> Sequence[str]:
        return self._bundle.manifest.classes

    @property
    def numeric(self) -> Sequence[str]:
        return [each.name for each in self._bundle.manifest.numeric]

    @property
    def categorical(self) -> Sequence[str]:
        return [each.name for each in self._bundle.manifest.categorical]

    def score(self, numeric: Floats, categorical: Objects) -> Floats:
        parts = [
            self._run(numeric[start : start + _ROWS_AT_ONCE], categorical[start : start + _ROWS_AT_ONCE])
            for start in range(0, len(numeric), _ROWS_AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes)) if self.classes else 0)

    def golden_difference(self) -> float:
        numeric, categorical, expected = _golden(self._bundle)
        found = self.score(numeric, categorical)
        difference = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
        return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))

    def _run(self, numeric: Floats, categorical: Objects) -> Floats:
        inputs: dict[str, Any] = {"numeric": numeric, "categorical": categorical}
        wanted = {each.name for each in self._session.get_inputs()}
        try:
            (score,) = self._session.run(["score"], {name: inputs[name] for name in wanted})
            return as_scores(score, len(numeric), len(self.classes))
        except _runtime_errors() as error:
            raise BundleError(f"{self._bundle.folder / MODEL} refuses its inputs: {error}") from error


class LocalBundles:
    """`services.evaluation.ports.Bundles` on local disk."""

    def __init__(self, resolve_path: PathResolver = local_path) -> None:
        self._locate = resolve_path

    def open(self, uri: str, digest: str) -> Scorer:
        return OnnxScorer(open_bundle(self._locate(uri), digest))


def _golden(bundle: Bundle) -> tuple[Floats, Objects, Floats]:
    try:
        with np.load(io.BytesIO(bundle.read(GOLDEN)), allow_pickle=False) as sample:
            numeric = np.asarray(sample["numeric"], dtype=np.float64)
            expected = as_scores(sample["score"], len(numeric), len(bundle.manifest.classes))
            names = sample["categorical"] if "categorical" in sample else np.empty((len(numeric), 0))
            return numeric, names.astype(object), expected
    except (KeyError, ValueError, OSError) as error:
        raise BundleError(f"{bundle.folder / GOLDEN}: {error}") from error

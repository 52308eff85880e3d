"""A release that can score: verified bundle, ONNX session, reproduced golden sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftloop.model.bundle import MODEL, Bundle, Input, open_bundle
from driftloop.model.golden import read_golden
from driftloop.model.onnx_session import ONNX_ERRORS, open_session
from driftloop.model.scores import as_scores
from driftloop.process.errors import BundleError
from services.serving.domain.route import ReleaseOnRoute

TOLERANCE = 1e-6
"""Maximum difference from the golden scores, absolute and relative."""


class ReleaseError(Exception):
    """A release cannot answer."""

    def __init__(self, release_id: str, why: str) -> None:
        super().__init__(f"release {release_id}: {why}")
        self.release_id = release_id
        self.why = why


@dataclass(frozen=True)
class LoadedRelease:
    """A loaded release."""

    release_id: str
    numeric: tuple[Input, ...]
    categorical: tuple[Input, ...]
    input_digest: str
    session: Any
    """An `onnxruntime.InferenceSession`."""
    classes: tuple[str, ...] = ()
    """Classes of the label, if it has any."""

    def score(self, numeric: NDArray[np.float64], categorical: NDArray[np.object_]) -> NDArray[np.float64]:
        """Return scores, float64 [n] or [n, K], for ``numeric`` float64 [n, F] and ``categorical`` str [n, C].

        Raises:
            ReleaseError: the graph failed.
        """
        feed: dict[str, NDArray[Any]] = {"numeric": numeric} if self.numeric else {}
        if self.categorical:
            feed["categorical"] = categorical
        try:
            (score,) = self.session.run(["score"], feed)
            return as_scores(score, len(numeric), len(self.classes))
        except ONNX_ERRORS as error:
            raise ReleaseError(self.release_id, f"the graph failed: {error}") from error


def load_release(folder: Path, ref: ReleaseOnRoute, classes: tuple[str, ...] = ()) -> LoadedRelease:
    """Open a staged release and reproduce its golden sample. ``classes`` are those of the loop's label.

    Raises:
        ReleaseError: a file differs from its digest, the graph does not load, the golden scores differ, or the
            release scores other classes.
    """
    try:
        bundle = open_bundle(folder / ref.release_id, ref.digest)
        if bundle.manifest.classes != classes:
            of_release, of_loop = (", ".join(names) or "none" for names in (bundle.manifest.classes, classes))
            raise ReleaseError(ref.release_id, f"its classes are {of_release}; the loop's are {of_loop}")
        release = _load(bundle, ref.release_id)
        _check_golden(bundle, release)
    except BundleError as error:
        raise ReleaseError(ref.release_id, str(error)) from error
    return release


def _load(bundle: Bundle, release_id: str) -> LoadedRelease:
    try:
        session = open_session(bundle.read(MODEL))
    except ONNX_ERRORS as error:
        raise ReleaseError(release_id, f"the graph does not load: {error}") from error
    manifest = bundle.manifest
    return LoadedRelease(
        release_id, manifest.numeric, manifest.categorical, manifest.input_digest, session, manifest.classes
    )


def _check_golden(bundle: Bundle, release: LoadedRelease) -> None:
    numeric, categorical, expected = read_golden(bundle)
    scores = release.score(numeric, categorical)
    if scores.shape != expected.shape or not np.allclose(scores, expected, rtol=TOLERANCE, atol=TOLERANCE):
        raise ReleaseError(release.release_id, "the golden sample gives other scores here")

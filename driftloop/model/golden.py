"""The golden sample of a bundle: a few rows with the scores that every runtime must reproduce."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from driftloop.model.bundle import GOLDEN, Bundle
from driftloop.model.scores import Floats, as_scores
from driftloop.model.trainer import TrainingSet
from driftloop.process.errors import BundleError

GOLDEN_ROWS = 32


def golden_sample(rows: TrainingSet, score: Floats) -> bytes:
    """Return ``golden.npz`` of at most 32 evenly spread rows.

    Its arrays are ``numeric``, ``categorical`` (fixed-width text) and ``score``.
    """
    chosen = np.unique(np.linspace(0, len(score) - 1, min(GOLDEN_ROWS, len(score))).astype(np.int64))
    arrays = {"numeric": rows.numeric[chosen], "score": score[chosen]}
    if rows.categorical.shape[1]:
        arrays["categorical"] = rows.categorical[chosen].astype(np.str_)
    target = io.BytesIO()
    np.savez(target, **arrays)  # type: ignore[arg-type]  # its stub takes the flag beside it for the arrays
    return target.getvalue()


def read_golden(bundle: Bundle) -> tuple[Floats, NDArray[np.object_], Floats]:
    """Return ``numeric`` float64 [n, F], ``categorical`` object [n, C] and ``score`` float64 [n] or [n, K].

    Raises:
        BundleError: the file is missing or malformed.
    """
    try:
        with np.load(io.BytesIO(bundle.read(GOLDEN)), allow_pickle=False) as sample:
            numeric = np.asarray(sample["numeric"], dtype=np.float64)
            score = as_scores(sample["score"], len(numeric), len(bundle.manifest.classes))
            texts = sample["categorical"] if "categorical" in sample else np.empty((len(numeric), 0))
            return numeric, texts.astype(object), score
    except (KeyError, ValueError, OSError) as error:
        raise BundleError(f"{bundle.folder / GOLDEN} cannot be read: {error}") from error

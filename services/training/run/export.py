"""The exported model, held equal to the trained one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftloop.trainer import TrainingSet
from services.training.run.errors import ModelError

TOLERANCE = 1e-6
"""Largest difference allowed between the export's scores and the trainer's, relative to max(1, |score|)."""

Floats = NDArray[np.float64]


def checked_scores(model: bytes, data: TrainingSet, expected: Floats, threads: int) -> Floats:
    """Scores float64 [n] of an ONNX model.

    Raises:
        ModelError: they are not finite, or differ from ``expected`` float64 [n] by more than the tolerance.
    """
    score = run(model, data, threads)
    if not np.isfinite(score).all():
        raise ModelError(f"{int((~np.isfinite(score)).sum())} of {len(score)} scores are not finite")
    difference = float((np.abs(score - expected) / np.maximum(1.0, np.abs(expected))).max(initial=0.0))
    if not difference <= TOLERANCE:
        raise ModelError(f"the ONNX export differs from the trained model by {difference:.3g}, above {TOLERANCE:g}")
    return score


def run(model: bytes, data: TrainingSet, threads: int) -> Floats:
    """Scores float64 [n] of an ONNX model on some rows."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    inputs = {"numeric": data.numeric, "categorical": data.categorical}
    wanted = {each.name for each in session.get_inputs()}
    (score,) = session.run(["score"], {name: values for name, values in inputs.items() if name in wanted})
    return np.asarray(score, dtype=np.float64).reshape(len(data.label))

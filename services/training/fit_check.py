"""Tries a loop's trainer on generated rows: ``python -m services.training.fit_check FOLDER --features JSON``.

Prints the problems as a JSON list. Calls the trainer as a run does, exports the model and compares the two.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftloop.loop import Loop, load_loop
from driftloop.loop.code import defined_at, locate_errors
from driftloop.model.onnx_session import ONNX_ERRORS, first_line
from driftloop.model.trainer import Fitted, TrainingSet
from driftloop.process.errors import LoopDefinitionError
from services.training.errors import ModelError
from services.training.run.export_check import TOLERANCE, check_range, checked_scores
from services.training.run.generated_rows import generated_rows
from services.training.run.trainers import load_trainer

ROWS = 400
_VALIDATION_ROWS = 120
_UNUSUAL_ROWS = 40


def check_fit(loop: Loop, features: Sequence[tuple[str, str]]) -> list[str]:
    """Return the problems of a fit, as ``file:line: message``.

    ``features``: name and type of each feature, in order.
    """
    try:
        return list(_problems(loop, features))
    except LoopDefinitionError as error:
        return error.problems


def _problems(loop: Loop, features: Sequence[tuple[str, str]]) -> Iterator[str]:
    definition, trainer = loop.definition, load_trainer(loop)
    path = Path(inspect.getfile(type(trainer)))
    train = generated_rows(definition, features, ROWS, seed=0)
    validation = generated_rows(definition, features, _VALIDATION_ROWS, seed=1)
    unusual = generated_rows(definition, features, _UNUSUAL_ROWS, seed=2, unseen=True)
    parameters = _Parameters(definition.training.parameters)

    def fit() -> Fitted:
        with locate_errors(path):
            return trainer.fit(train, validation, parameters=parameters, seed=definition.training.seed)

    fitted = fit()
    for method in ("predict", "to_onnx"):
        if not callable(getattr(fitted, method, None)):
            yield f"{_line(trainer.fit)}: fit returns {type(fitted).__name__}, which has no method `{method}`"
            return
    predict = _line(fitted.predict)
    with locate_errors(path):
        predicted = np.asarray(fitted.predict(validation))
        model: object = fitted.to_onnx()
    if not isinstance(model, bytes):
        yield f"{_line(fitted.to_onnx)}: to_onnx returns {type(model).__name__}; return the model's bytes"
        return
    for name, rows in (("", validation), (" of one row", validation.rows(slice(0, 1))), (_UNUSUAL, unusual)):
        if problem := _compare(fitted, model, rows, path, definition.label.kind):
            yield f"{predict}: on generated rows{name}: {problem}"
            return
    with locate_errors(path):
        again = np.asarray(fit().predict(validation))
    if np.abs(again - predicted).max(initial=0.0) > TOLERANCE:
        yield f"{_line(trainer.fit)}: two fits with the same seed differ; draw every random number from `seed`"


_UNUSUAL = " with missing values and strings that training did not have"


def _compare(fitted: Fitted, model: bytes, rows: TrainingSet, path: Path, kind: Any) -> str:
    """Return what is wrong with a model's scores on some rows; empty if nothing is."""
    with locate_errors(path):
        predicted = np.asarray(fitted.predict(rows))
    try:
        check_range(predicted, kind)
        checked_scores(model, rows, predicted, threads=1)
    except ModelError as error:
        return str(error)
    except ONNX_ERRORS as error:
        return f"ONNX Runtime cannot run the export: {first_line(error)}"
    return ""


class _Parameters(dict[str, Any]):
    """`training.parameters`; a missing one says so."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(f"training.parameters of loop.yaml has no {name!r}")


def _line(method: Any) -> str:
    """Return ``file:line`` of a method."""
    file, line = defined_at(method) or (inspect.getfile(type(method)), 1)
    return f"{file}:{line}"


def main() -> int:
    """Print the problems of a loop's fit; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--features", type=json.loads, required=True)
    options = parser.parse_args()
    loop = load_loop(options.folder)
    limit = loop.definition.training.memory_limit_mib * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with contextlib.redirect_stdout(sys.stderr):
        problems = check_fit(loop, [(name, dtype) for name, dtype in options.features])
    sys.stdout.write(json.dumps(problems) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Checks whether a loop can use a model: ``python -m services.training.importing.import_check FOLDER --onnx FILE``.

Prints JSON: ``{"problem": ...}``, or ``{"model": ..., "notes": [...]}`` with the model as the command `import` takes
it.
The file is then stored below `DRIFTLOOP_HOME` under its digest, so the run uses the bytes that were checked here.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from driftloop.featurestore import feast_import
from driftloop.loop import LoopDefinition, load_loop
from driftloop.model.bundle import Input
from driftloop.process.atomic_file import replace_file
from driftloop.process.settings import Settings
from services.training.domain.matching import (
    LINKS,
    ImportOptions,
    ImportPlan,
    Mismatch,
    Tensor,
    match_inputs,
    match_output,
    names_of,
)
from services.training.importing import graph, mlflow_model
from services.training.run.inputs import model_inputs

FOLDER = "imports"
"""Folder below the home."""


@dataclass(frozen=True)
class ImportedModel:
    """A model file as one piece, and the column names that came with it."""

    content: bytes
    columns: tuple[str, ...] = ()


def main(arguments: list[str] | None = None) -> int:
    """Check a model; return exit code 0 whatever the result."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    asked = _parser().parse_args(arguments)
    settings = Settings()
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer = look(asked, settings)
        except Mismatch as error:
            answer = {"problem": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def look(asked: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Return the model as the command takes it, and store its file.

    Raises:
        Mismatch: the loop cannot use it.
    """
    definition = load_loop(asked.folder).definition
    with tempfile.TemporaryDirectory() as scratch:
        brought = _brought(asked, settings, Path(scratch))
    found = graph.opened(brought.content)
    own = _own_inputs(settings, definition)
    options = _wishes(asked, found.inputs, own, brought.columns)
    classes = definition.label.classes
    asking = ImportPlan(
        match_inputs(found.inputs, own, options),
        *match_output(found.outputs, definition.label.kind, classes, options),
        options.link,
    )
    digest = hashlib.sha256(brought.content).hexdigest()
    uri = f"{FOLDER}/{digest}.onnx"
    _keep(settings.home / uri, brought.content)
    model = {
        "uri": uri,
        "sha256": digest,
        "source": Path(asked.onnx).name or asked.mlflow,
        "inputs": [{"name": name, "columns": list(columns)} for name, columns in asking.inputs],
        "output": asking.output,
        "score_columns": list(asking.score_columns),
        "link": asking.link,
    }
    return {"model": model, "notes": list(_notes(asking))}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--onnx", default="")
    parser.add_argument("--mlflow", default="")
    parser.add_argument("--columns", action="append", default=[])
    parser.add_argument("--output", default="")
    parser.add_argument("--classes", default="")
    parser.add_argument("--positive", default="")
    parser.add_argument("--link", default="identity", choices=LINKS)
    return parser


def _brought(asked: argparse.Namespace, settings: Settings, scratch: Path) -> ImportedModel:
    if asked.onnx:
        return ImportedModel(graph.read(Path(asked.onnx)))
    logged = mlflow_model.fetch(asked.mlflow, settings.mlflow_uri, scratch)
    return ImportedModel(graph.read(logged.path), logged.columns)


def _own_inputs(settings: Settings, definition: LoopDefinition) -> list[Input]:
    feast_import.load()
    from feast.errors import FeatureServiceNotFoundException

    from driftloop.featurestore.feast_client import open_store

    try:
        return model_inputs(open_store(settings), definition.prediction)
    except FeatureServiceNotFoundException as error:
        service = definition.prediction.feature_service
        raise Mismatch(f"the features {service} are not there yet: start the system with `driftloop up`") from error


def _wishes(
    asked: argparse.Namespace, inputs: tuple[Tensor, ...], own: list[Input], signature: tuple[str, ...]
) -> ImportOptions:
    """Return the given options. If they name no columns, MLflow's signature names those of a single matrix."""
    columns = dict(_columns(each) for each in asked.columns)
    options = ImportOptions(columns, asked.output, _split(asked.classes), asked.positive, asked.link)
    if columns or not signature or len(inputs) != 1 or not set(signature) <= names_of(own).keys():
        return options
    return replace(options, columns={"": signature})


def _columns(text: str) -> tuple[str, list[str]]:
    """Parse ``INPUT=a,b`` or ``a,b``."""
    name, equals, columns = text.rpartition("=")
    return (name if equals else ""), _split(columns)


def _split(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _keep(path: Path, content: bytes) -> None:
    if not path.exists():
        replace_file(path, content)


def _notes(asking: ImportPlan) -> list[str]:
    inputs = [f"{name} takes {', '.join(columns)}" for name, columns in asking.inputs]
    where = f"column {', '.join(map(str, asking.score_columns))} of {asking.output}"
    return [*inputs, f"the score is {where}" + ("" if asking.link == "identity" else f" through {asking.link}")]


if __name__ == "__main__":
    sys.exit(main())

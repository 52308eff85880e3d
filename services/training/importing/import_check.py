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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftloop.featurestore import feast_import
from driftloop.loop import LoopDefinition, load_loop
from driftloop.model.bundle import Input
from driftloop.process.atomic_file import replace_file
from driftloop.process.object_store import RemoteFolder, upload_file
from driftloop.process.private_files import keep_files_private
from driftloop.process.settings import Settings
from services.training.domain.matching import (
    LINKS,
    ImportOptions,
    ImportPlan,
    Mismatch,
    Tensor,
    inputs_by_name,
    match_inputs,
    match_output,
)
from services.training.importing import graph, mlflow_model
from services.training.importing.limits import InspectionSettings, limit_inspection
from services.training.inputs import model_inputs
from services.training.spec import IMPORTS


@dataclass(frozen=True)
class ModelFile:
    """A model file as one piece, and the column names that came with it."""

    content: bytes
    columns: tuple[str, ...] = ()


def main(arguments: list[str] | None = None) -> int:
    """Check a model; return exit code 0 whatever the result."""
    keep_files_private()
    os.environ["TZ"] = "UTC"
    time.tzset()
    options = _parser().parse_args(arguments)
    settings = InspectionSettings()
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer = check_import(options, settings)
        except Mismatch as error:
            answer = {"problem": str(error)}
        except MemoryError:
            answer = {"problem": f"its inspection needs more than {settings.import_memory_mib} MiB of memory"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def check_import(options: argparse.Namespace, settings: InspectionSettings) -> dict[str, Any]:
    """Return the model as the command takes it, and store its file.

    Raises:
        Mismatch: the loop cannot use it.
    """
    definition = load_loop(options.folder).definition
    with tempfile.TemporaryDirectory() as scratch:
        file = _read_model(options, settings, Path(scratch))
    model = graph.open_graph(file.content)
    loop_inputs = _loop_inputs(settings, definition)
    import_options = _import_options(options, model.inputs, loop_inputs, file.columns)
    label = definition.label
    plan = ImportPlan(
        match_inputs(model.inputs, loop_inputs, import_options),
        *match_output(model.outputs, label.kind, label.classes, import_options),
        import_options.link,
    )
    digest = hashlib.sha256(file.content).hexdigest()
    uri = f"{IMPORTS}/{digest}.onnx"
    path = settings.home / uri
    if not path.exists():
        replace_file(path, file.content)
    if isinstance(settings.shared, RemoteFolder):
        upload_file(path, settings.shared / IMPORTS, path.suffix)
    command = {
        "uri": uri,
        "sha256": digest,
        "source": Path(options.onnx).name or options.mlflow,
        "inputs": [{"name": name, "columns": list(columns)} for name, columns in plan.inputs],
        "output": plan.output,
        "score_columns": list(plan.score_columns),
        "link": plan.link,
    }
    return {"model": command, "notes": _notes(plan)}


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


def _read_model(options: argparse.Namespace, settings: InspectionSettings, scratch: Path) -> ModelFile:
    """Read the model; from then on the process is limited."""
    if options.onnx:
        limit_inspection(settings)
        return ModelFile(graph.read(Path(options.onnx)))
    logged = mlflow_model.fetch(options.mlflow, settings.mlflow_uri, scratch)
    limit_inspection(settings)
    return ModelFile(graph.read(logged.path), logged.columns)


def _loop_inputs(settings: Settings, definition: LoopDefinition) -> list[Input]:
    feast_import.load()
    from feast.errors import FeatureServiceNotFoundException

    from driftloop.featurestore.feast_client import open_store

    try:
        return model_inputs(open_store(settings), definition.prediction)
    except FeatureServiceNotFoundException as error:
        service = definition.prediction.feature_service
        raise Mismatch(f"the feature service {service} does not exist yet: run `driftloop up`") from error


def _import_options(
    options: argparse.Namespace, inputs: tuple[Tensor, ...], loop_inputs: list[Input], signature: tuple[str, ...]
) -> ImportOptions:
    """Return the given options. If they name no columns, MLflow's signature names those of a single matrix."""
    columns = dict(_columns(text) for text in options.columns)
    if not columns and signature and len(inputs) == 1 and set(signature) <= inputs_by_name(loop_inputs).keys():
        columns = {"": list(signature)}
    return ImportOptions(columns, options.output, _split(options.classes), options.positive, options.link)


def _columns(text: str) -> tuple[str, list[str]]:
    """Parse ``INPUT=a,b`` or ``a,b``."""
    name, _, columns = text.rpartition("=")
    return name, _split(columns)


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _notes(plan: ImportPlan) -> list[str]:
    inputs = [f"{name} takes {', '.join(columns)}" for name, columns in plan.inputs]
    source = f"column {', '.join(map(str, plan.score_columns))} of {plan.output}"
    return [*inputs, f"the score is {source}" + ("" if plan.link == "identity" else f" through {plan.link}")]


if __name__ == "__main__":
    sys.exit(main())

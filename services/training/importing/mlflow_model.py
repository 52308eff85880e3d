"""Finds the ONNX file and column names of a model in MLflow, or in a folder that MLflow wrote."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.training.domain.matching import Mismatch
from services.training.importing import runtime

_MLMODEL = "MLmodel"
_EXPORTS = {
    "sklearn": "skl2onnx.to_onnx(model, X[:1])",
    "xgboost": "onnxmltools.convert_xgboost(model, initial_types=...)",
    "pytorch": "torch.onnx.export(model, ..., dynamic_axes=...)",
    "lightgbm": "onnxmltools.convert_lightgbm(model, initial_types=...)",
}


@dataclass(frozen=True)
class LoggedModel:
    """A model's ONNX file, and its column names from MLflow's signature; empty if it has none."""

    path: Path
    columns: tuple[str, ...]


def fetch(uri: str, tracking_uri: str, scratch: Path) -> LoggedModel:
    """Fetch a model by ``models:/name/version``, ``runs:/<run id>/<path>``, or a folder with an `MLmodel` file.

    Raises:
        Mismatch: the model is missing, or has no ONNX flavor.
    """
    folder = _downloaded(uri, tracking_uri, scratch) if ":/" in uri else Path(uri)
    told = _told(folder)
    flavours = told.get("flavors", {})
    if "onnx" not in flavours:
        raise Mismatch(_no_onnx(flavours))
    return LoggedModel(folder / flavours["onnx"].get("data", "model.onnx"), _columns(told))


def _downloaded(uri: str, tracking_uri: str, scratch: Path) -> Path:
    from services.training.run import tracking

    tracking.prepare()
    import mlflow
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    where = os.environ.get("MLFLOW_TRACKING_URI") or tracking_uri
    mlflow.set_tracking_uri(where)  # also sets the registry's address, which an argument of the download does not
    try:
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(scratch)))
    except (MlflowException, OSError, ValueError) as error:
        raise Mismatch(f"MLflow at {where} does not give it: {runtime.reason(error)}") from error


def _told(folder: Path) -> dict[str, Any]:
    path = folder / _MLMODEL
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise Mismatch(f"there is no {_MLMODEL} file of MLflow in {folder}") from error
    if not isinstance(found, dict):
        raise Mismatch(f"{path} is no {_MLMODEL} file of MLflow")
    return found


def _no_onnx(flavours: dict[str, Any]) -> str:
    there = ", ".join(name for name in flavours if name != "python_function") or "none"
    export = next((text for name, text in _EXPORTS.items() if name in flavours), "its library's exporter")
    return (
        f"it is of the flavour {there}, not onnx, and driftloop runs no pickled code: export it with {export} and "
        "bring the file with --onnx, or log it with mlflow.onnx.log_model"
    )


def _columns(told: dict[str, Any]) -> tuple[str, ...]:
    listed = json.loads((told.get("signature") or {}).get("inputs") or "[]")
    return tuple(each["name"] for each in listed if each.get("name") and each.get("type") != "tensor")

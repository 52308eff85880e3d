"""An `MLmodel` file comes from somebody else: it is read with care."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.training.domain.matching import Mismatch
from services.training.importing.mlflow_model import fetch


def _folder(path: Path, metadata: object) -> Path:
    path.mkdir()
    (path / "MLmodel").write_text(json.dumps(metadata))
    return path


def test_the_file_and_the_signature_are_read(tmp_path: Path) -> None:
    columns = json.dumps([{"name": "a", "type": "double"}, {"name": "b", "type": "tensor"}])
    folder = _folder(tmp_path / "m", {"flavors": {"onnx": {"data": "my.onnx"}}, "signature": {"inputs": columns}})
    logged = fetch(str(folder), "", tmp_path)
    assert (logged.path, logged.columns) == (folder / "my.onnx", ("a",))


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "link"])
def test_a_file_outside_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = _folder(tmp_path / "m", {"flavors": {"onnx": {"data": name}}})
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(Mismatch, match="outside of the model's folder"):
        fetch(str(folder), "", tmp_path)


@pytest.mark.parametrize(
    "metadata",
    [
        3, [], {"flavors": 3}, {"flavors": {"onnx": 3}}, {"flavors": {"onnx": {"data": 3}}},
        {"flavors": {"onnx": {}}, "signature": 3}, {"flavors": {"onnx": {}}, "signature": {"inputs": "["}},
        {"flavors": {"onnx": {}}, "signature": {"inputs": "[3]"}}, {"flavors": {"onnx": {"data": "a\0b"}}},
    ],
)  # fmt: skip
def test_what_is_no_metadata_is_refused_in_one_line(tmp_path: Path, metadata: object) -> None:
    with pytest.raises(Mismatch, match="not an MLmodel file") as refused:
        fetch(str(_folder(tmp_path / "m", metadata)), "", tmp_path)
    assert "\n" not in str(refused.value)

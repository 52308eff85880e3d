"""A loop's own trainer, imported from its folder."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from driftloop.config import ROOT
from driftloop.errors import LoopDefinitionError
from driftloop.trainer import Trainer

_OWN_SOURCES = ("services/training", "driftloop/trainer.py", "driftloop/bundle.py", "driftloop/onnx_export.py")


def load_trainer(folder: Path, name: str) -> Trainer:
    """The trainer ``module:class`` of a loop's folder, imported as ``loops.<folder's name>.<module>``.

    Raises:
        LoopDefinitionError: there is no such module or class.
    """
    module_name, _, class_name = name.partition(":")
    package = f"loops.{folder.name}"
    _package("loops", folder.parent)
    _package(package, folder)
    try:
        trainer: Trainer = getattr(importlib.import_module(f"{package}.{module_name}"), class_name)()
    except (ModuleNotFoundError, AttributeError) as error:
        raise LoopDefinitionError([f"{folder / 'loop.yaml'}:1: trainer {name}: {error}"]) from error
    return trainer


def code_digest(folder: Path) -> str:
    """sha256 (hex) of the loop's modules that were imported, and of what trains and packs them."""
    prefix = f"loops.{folder.name}."
    loaded = [module.__file__ for name, module in sys.modules.items() if name.startswith(prefix)]
    found = hashlib.sha256()
    for label, path in sorted({*_labelled(folder, (Path(each) for each in loaded if each)), *_own()}):
        found.update(f"{label}\x1f{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def _labelled(root: Path, paths: Iterable[Path]) -> list[tuple[str, Path]]:
    return [(str(path.relative_to(root)), path) for path in paths]


def _own() -> list[tuple[str, Path]]:
    files: list[Path] = []
    for source in _OWN_SOURCES:
        path = ROOT / source
        files += path.rglob("*.py") if path.is_dir() else [path]
    return _labelled(ROOT, files)


def _package(name: str, folder: Path) -> None:
    """Make a folder importable under a name, whatever else bears that name on the path."""
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package

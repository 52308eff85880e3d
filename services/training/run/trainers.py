"""Imports a loop's trainer from its folder."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from driftloop.loop import Loop
from driftloop.loop.code import locate_errors
from driftloop.model.trainer import Trainer
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import ROOT

_SHARED_SOURCES = (
    "services/training", "driftloop/model/trainer.py", "driftloop/model/bundle.py", "driftloop/model/classes.py",
    "driftloop/model/golden.py",
    "driftloop/model/onnx_export.py", "driftloop/model/scores.py",
)  # fmt: skip


def load_trainer(loop: Loop) -> Trainer:
    """Load the trainer ``module:class`` of a loop as ``loops.<folder's name>.<module>``.

    Raises:
        LoopDefinitionError: the module or class is missing, or its code fails.
    """
    where = loop.line_of("training", "trainer")
    if loop.definition.training.trainer is None:
        raise LoopDefinitionError(
            [f"{where}: trainer is not set; name a class in the loop's folder, such as model:Trainer"]
        )
    module_name, _, class_name = loop.definition.training.trainer.partition(":")
    path = loop.folder / f"{module_name}.py"
    if not path.exists():
        raise LoopDefinitionError([f"{where}: trainer: {path} does not exist"])
    package = f"loops.{loop.folder.name}"
    _make_importable("loops", loop.folder.parent)
    _make_importable(package, loop.folder)
    with locate_errors(path):
        module = importlib.import_module(f"{package}.{module_name}")
    trainer_class = getattr(module, class_name, None)
    if trainer_class is None or not callable(getattr(trainer_class, "fit", None)):
        raise LoopDefinitionError([f"{where}: trainer: {path} has no class {class_name!r} with a method `fit`"])
    with locate_errors(path):
        trainer: Trainer = trainer_class()
    return trainer


def own_modules(loop: Loop) -> list[ModuleType]:
    """Return the imported modules of a loop's folder."""
    prefix = f"loops.{loop.folder.name}."
    return [module for name, module in sorted(sys.modules.items()) if name.startswith(prefix) and module.__file__]


def code_digest(folder: Path) -> str:
    """Return the sha256 (hex) of the loop's imported modules and of the code that trains and packs."""
    prefix = f"loops.{folder.name}."
    loaded = [module.__file__ for name, module in sys.modules.items() if name.startswith(prefix)]
    digest = hashlib.sha256()
    for label, path in sorted({*_labelled(folder, (Path(file) for file in loaded if file)), *_shared_sources()}):
        digest.update(f"{label}\x1f{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _labelled(root: Path, paths: Iterable[Path]) -> list[tuple[str, Path]]:
    return [(str(path.relative_to(root)), path) for path in paths]


def _shared_sources() -> list[tuple[str, Path]]:
    files: list[Path] = []
    for source in _SHARED_SOURCES:
        path = ROOT / source
        files += path.rglob("*.py") if path.is_dir() else [path]
    return _labelled(ROOT, files)


def _make_importable(name: str, folder: Path) -> None:
    """Make a folder importable under a name, even if another package has that name."""
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package

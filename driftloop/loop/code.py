"""Finds the Python modules that stand in a loop's folder."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from driftloop.config import ROOT
from driftloop.errors import LoopDefinitionError


def load_module(folder: Path, name: str) -> ModuleType:
    """Import ``<folder>/<name>.py`` as a module of the package that the folder is.

    Raises:
        LoopDefinitionError: there is no such file.
    """
    folder = folder.resolve()
    if not (folder / f"{name}.py").exists():
        raise LoopDefinitionError([f"{folder / name}.py:1: missing"])
    root = ROOT if folder.is_relative_to(ROOT) else folder.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module(".".join((*folder.relative_to(root).parts, name)))


def load_features(loop: str, feature_repo: Path) -> ModuleType:
    """Execute ``<feature_repo>/<loop>.py``, the loop's Feast definitions, as ``feature_repo.<loop>``.

    The folder need not be the package of that name: a system may run over definitions that stand elsewhere.

    Raises:
        LoopDefinitionError: there is no such file.
    """
    path = feature_repo / f"{loop}.py"
    wanted = importlib.util.spec_from_file_location(f"feature_repo.{loop}", path)
    if not path.exists() or wanted is None or wanted.loader is None:
        raise LoopDefinitionError([f"{path}:1: missing; it holds the loop's Feast definitions"])
    module = sys.modules[wanted.name] = importlib.util.module_from_spec(wanted)  # dataclasses look it up there
    wanted.loader.exec_module(module)
    return module

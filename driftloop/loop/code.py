"""Finds the Python modules that stand in a loop's folder."""

from __future__ import annotations

import importlib
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

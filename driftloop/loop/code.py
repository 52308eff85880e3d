"""Finds the Python modules that stand in a loop's folder."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import ROOT


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
    with told_at_its_line(folder / f"{name}.py"):
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
    with told_at_its_line(path):
        wanted.loader.exec_module(module)
    return module


@contextmanager
def told_at_its_line(path: Path) -> Iterator[None]:
    """Tell an error of a loop's own code, run from ``path``, at the last line of that folder that led to it.

    Raises:
        LoopDefinitionError: the code raised.
    """
    try:
        yield
    except LoopDefinitionError:
        raise
    except Exception as error:
        raise LoopDefinitionError([f"{_line_of(error, path)}: {type(error).__name__}: {error}"]) from error


def _line_of(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    own = [each for each in traceback.extract_tb(error.__traceback__) if Path(each.filename).parent == path.parent]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else f"{path}:1"

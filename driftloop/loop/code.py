"""Imports the Python modules of a loop."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import ROOT

SHARED_FEATURE_CODE = ("sources.py", "views.py")
"""Modules of the folder of Feast definitions whose arguments come from a loop's own module."""


def load_module(folder: Path, name: str) -> ModuleType:
    """Import ``<folder>/<name>.py`` as a module of the package ``<folder>``.

    Raises:
        LoopDefinitionError: the file does not exist or its code fails.
    """
    folder = folder.resolve()
    if not (folder / f"{name}.py").exists():
        raise LoopDefinitionError([f"{folder / name}.py:1: missing"])
    root = ROOT if folder.is_relative_to(ROOT) else folder.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    with locate_errors(folder / f"{name}.py"):
        return importlib.import_module(".".join((*folder.relative_to(root).parts, name)))


def load_features(loop: str, feature_repo: Path) -> ModuleType:
    """Execute ``<feature_repo>/<loop>.py``, the loop's Feast definitions, as ``feature_repo.<loop>``.

    The folder may be outside this checkout.

    Raises:
        LoopDefinitionError: the file does not exist or its code fails.
    """
    path = feature_repo / f"{loop}.py"
    spec = importlib.util.spec_from_file_location(f"feature_repo.{loop}", path)
    if not path.exists() or spec is None or spec.loader is None:
        raise LoopDefinitionError([f"{path}:1: missing; write the loop's Feast definitions there"])
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look up their module
    with locate_errors(path):
        spec.loader.exec_module(module)
    return module


def defined_at(function: Any) -> tuple[str, int] | None:
    """Return file and first line of a function or method; None if it is not Python code."""
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    return None if code is None else (code.co_filename, code.co_firstlineno)


@contextmanager
def locate_errors(path: Path, line: int = 1) -> Iterator[None]:
    """Convert errors of a loop's own code to LoopDefinitionError with the last line in the folder of ``path``.

    ``line`` is named if the error occurred before the code ran, as with a wrong number of arguments.

    Raises:
        LoopDefinitionError: the code failed.
    """
    try:
        yield
    except LoopDefinitionError:
        raise
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise LoopDefinitionError([f"{_line_of(error, path, line)}: {text}"]) from error


def _line_of(error: Exception, path: Path, line: int) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == path.parent]
    own = [frame for frame in own if Path(frame.filename).name not in SHARED_FEATURE_CODE] or own
    return f"{own[-1].filename}:{own[-1].lineno}" if own else f"{path}:{line}"

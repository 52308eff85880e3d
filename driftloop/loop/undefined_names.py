"""Finds names in a loop's Python code that nothing defines, in every function, whether it runs or not."""

from __future__ import annotations

import builtins
import dis
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType


def undefined_names(module: ModuleType) -> Iterator[str]:
    """Yield ``file:line: message`` for each name that neither the imported module nor Python defines."""
    path = Path(module.__file__ or "")
    codes = list(_codes(compile(path.read_text(), str(path), "exec", dont_inherit=True)))
    known = {*vars(module), *vars(builtins)}
    known |= {step.argval for code in codes for step in dis.get_instructions(code) if step.opname == "STORE_GLOBAL"}
    reported: set[str] = set()
    for code in codes:
        for step in dis.get_instructions(code):
            name = step.argval
            if step.opname == "LOAD_GLOBAL" and name not in known and name not in reported:
                reported.add(name)
                line = step.positions.lineno if step.positions and step.positions.lineno else code.co_firstlineno
                yield f"{path}:{line}: the name {name!r} is not defined"


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)

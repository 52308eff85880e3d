"""Finds the line of a Python module that defines an object, from the module's text."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType
from typing import Any


class SourceLines:
    """Lines of an imported module."""

    def __init__(self, module: ModuleType) -> None:
        self.path = Path(module.__file__ or "")
        self.module = module
        self._tree = ast.parse(self.path.read_text())

    def of(self, defined: Any, *words: str) -> str:
        """Return ``file:line`` of the first of ``words`` in the statement that assigns ``defined``.

        Without such a word, the line of the object's ``name``; then of the statement; then the first line.
        """
        statement = next((node for node in self._tree.body if self._assigns(node, defined)), None)
        name = str(getattr(defined, "name", ""))
        for word in words:
            if statement is not None and (lines := _lines_of(statement, word)):
                return f"{self.path}:{lines[0]}"
            if len(lines := _lines_of(self._tree, word)) == 1:
                return f"{self.path}:{lines[0]}"
        if lines := _lines_of(statement or self._tree, name):
            return f"{self.path}:{lines[0]}"
        return f"{self.path}:{statement.lineno if statement is not None else 1}"

    def of_name(self, name: str) -> str:
        """Return ``file:line`` of the object with this name."""
        objects = [item for value in vars(self.module).values() for item in _items(value)]
        return self.of(next((item for item in objects if getattr(item, "name", None) == name), None), name)

    def _assigns(self, node: ast.stmt, defined: Any) -> bool:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            targets = [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        values = [item for name in names for item in _items(getattr(self.module, name, None))]
        return defined is not None and any(value is defined for value in values)


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _lines_of(tree: ast.AST, text: str) -> list[int]:
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value == text)
    return sorted(node.lineno for node in nodes) if text else []

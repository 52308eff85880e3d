"""Tests observe and replace code through its public names, and do not patch the standard library's processes."""

from __future__ import annotations

import ast

import pytest

from driftloop.process.settings import ROOT

NAMEDTUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}
OURS = ("driftloop", "services", "loops", "feature_repo", "tests")
PATCHES = {"delattr", "object", "patch", "setattr", "setitem"}
SYSTEM = {"os", "subprocess"}


def breaches(source: str) -> list[str]:
    """Return the line and code of each private name or patch of a system module in Python source."""
    nodes = (node for node in ast.walk(ast.parse(source)) if _private_name(node) or _patch(node))
    return [f"{getattr(node, 'lineno', 0)}: {ast.unparse(node)}" for node in nodes]


def _private_name(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="self" | "cls")):
            return False
        case ast.Attribute(attr=name):
            return _is_private(name)
        case ast.ImportFrom(module=str(module), names=names):
            return module.split(".")[0] in OURS and any(_is_private(name.name) for name in names)
        case ast.Call(func=ast.Name(id="getattr" | "setattr"), args=[_, ast.Constant(value=str(name)), *_]):
            return _is_private(name)
    return False


def _patch(node: ast.AST) -> bool:
    """Whether a call patches a private name, or anything in a system module."""
    match node:
        case ast.Call(func=ast.Attribute(attr=method), args=[target, *rest]) if method in PATCHES:
            path = [*_path(target), *(part for name in rest[:1] for part in _path(name))]
            return bool(path) and ((path[0] in SYSTEM and len(path) > 1) or _is_private(path[-1]))
    return False


def _path(node: ast.expr) -> list[str]:
    """Return the parts of a dotted name, written as code or as text."""
    match node:
        case ast.Constant(value=str(text)):
            return text.split(".")
        case ast.Attribute() | ast.Name():
            return ast.unparse(node).split(".")
    return []


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NAMEDTUPLE


@pytest.mark.parametrize(
    "source",
    [
        "router._routes",
        "self.router._routes",
        "from services.serving.shipper import _PAUSE_S",
        "getattr(router, '_routes')",
        "monkeypatch.setattr(shipper, '_PAUSE_S', 0)",
        "monkeypatch.setattr('services.serving.shipper._PAUSE_S', 0)",
        "monkeypatch.setattr(subprocess, 'run', fake)",
        "monkeypatch.setattr('os.kill', fake)",
        "monkeypatch.setattr(shipper.router, '_close', fake)",
        "mock.patch('subprocess.run')",
        "mock.patch.object(os, 'kill')",
    ],
)
def test_a_breach_is_found(source: str) -> None:
    assert len(breaches(source)) == 1


def test_public_names_and_own_attributes_are_allowed() -> None:
    source = """
self._routes = row._replace(key="a")
monkeypatch.setattr(shipper, "PAUSE_S", 0)
monkeypatch.setenv("_PRIVATE", "1")
os.kill(pid, signal.SIGTERM)
router.__class__
"""
    assert breaches(source) == []


def test_no_test_uses_private_names_or_patches_the_system() -> None:
    paths = sorted((ROOT / "tests").rglob("*.py"))
    reported = [f"{path.relative_to(ROOT)}:{breach}" for path in paths for breach in breaches(path.read_text())]
    assert reported == []


def test_suites_that_run_again_on_postgresql_do_not_hide_each_other() -> None:
    """A star import replaces a function or fixture of the same name from an earlier one."""
    for path in (ROOT / "tests" / "integration" / "postgresql").glob("test_*.py"):
        modules = [
            node.module or ""
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        ]
        names = [name for module in modules for name in _public_functions(module)]
        assert sorted(names) == sorted(set(names)), path.name


def _public_functions(module: str) -> list[str]:
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [function.name for function in functions if not _is_private(function.name)]

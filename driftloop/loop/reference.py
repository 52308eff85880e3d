"""Writes the reference of ``loop.yaml``, ``docs/loop-yaml.md``: ``python -m driftloop.loop.reference``.

With ``--check`` it only reports whether the page is current.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import itertools
import sys
import types
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from driftloop.loop import definition
from driftloop.loop.definition import LoopDefinition, Model
from driftloop.loop.effects import span_text
from driftloop.process.settings import ROOT

PAGE = ROOT / "docs" / "loop-yaml.md"

_HEAD = """\
# loop.yaml

All keys of a loop's definition. `python -m driftloop.loop.reference` generates this page from the models in
`driftloop/loop/definition.py`. `driftloop check` checks a file against them and reports each problem with its line.
A duration is a number and one of the units `ms`, `s`, `m`, `h`, `d`: `90s`, `15m`, `24h`, `7d`. Unknown keys are
errors.
"""
_NAMES = {"str": "string", "int": "integer", "float": "number", "bool": "`true` or `false`", "timedelta": "duration"}
_BOUNDS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
_BOUNDS |= {"max_length": "at most {} characters", "min_length": "at least {} of them", "pattern": "like `{}`"}


def page() -> str:
    """Return the whole page."""
    sections = list(_sections("", LoopDefinition, {}))
    return "\n".join([_HEAD, *sections])


def undocumented() -> list[str]:
    """Return ``Model.field`` of all fields without a docstring."""
    return [
        f"{model.__name__}.{name}"
        for model in _models()
        for name in model.model_fields
        if not _is_section(model.model_fields[name].annotation) and name not in _docstrings(model)
    ]


def _models() -> list[type[Model]]:
    classes = [value for value in vars(definition).values() if inspect.isclass(value) and issubclass(value, Model)]
    return [model for model in classes if model is not Model]


def _sections(path: str, model: type[Model], seen: dict[type[Model], str]) -> Iterator[str]:
    """Yield the model's section, then the sections of the models in its fields. A model gets only one section."""
    seen[model] = path
    yield f"## {f'`{path}`' if path else 'The file'}\n\n{_text(inspect.getdoc(model) or '')}\n"
    yield "| key | what | default | |\n|---|---|---|---|"
    docstrings = _docstrings(model)
    inner: list[tuple[str, type[Model]]] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        below = _below(f"{path}.{key}".removeprefix("."), field.annotation)
        inner += below
        text = _text(docstrings.get(name, "")) or "; ".join(
            _text(inspect.getdoc(section) or "") for _, section in below
        )
        yield f"| `{key}` | {_kind(field)} | {_default(field)} | {text} |"
    yield ""
    for inner_path, section in inner:
        if section not in seen:
            yield from _sections(inner_path, section, seen)


def _below(path: str, annotation: Any) -> list[tuple[str, type[Model]]]:
    """Return the models in an annotation with their paths in the file."""
    if inspect.isclass(annotation) and issubclass(annotation, Model):
        return [(path, annotation)]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is dict:
        return _below(f"{path}.<name>", arguments[1])
    if origin is tuple:
        return _below(f"{path}[]", arguments[0])
    return [section for argument in arguments for section in _below(path, argument)] if origin in _UNIONS else []


_UNIONS = (Union, types.UnionType)


def _is_section(annotation: Any) -> bool:
    return bool(_below("", annotation))


def _kind(field: FieldInfo) -> str:
    kind = _type(field.annotation)
    bounds = [
        text.format(getattr(constraint, name))
        for constraint in field.metadata
        for name, text in _BOUNDS.items()
        if getattr(constraint, name, None) is not None
    ]
    return ", ".join([kind, *bounds])


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is dict:
        return f"mapping of names to {_type(arguments[1])}"
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin in _UNIONS:
        return " or ".join(_type(member) for member in arguments if member is not type(None))
    if hasattr(annotation, "__metadata__"):  # Annotated
        return _type(annotation.__origin__)
    if inspect.isclass(annotation) and issubclass(annotation, Model):
        return "section"
    return _NAMES[annotation.__name__]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value in (None, (), {}, PydanticUndefined):
        return "none"
    if isinstance(value, Model):
        return "as below"
    if isinstance(value, timedelta):
        return f"`{span_text(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _docstrings(model: type[Model]) -> dict[str, str]:
    [tree] = ast.parse(inspect.getsource(model)).body
    docstrings = {}
    for before, node in itertools.pairwise(tree.body if isinstance(tree, ast.ClassDef) else []):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
            match node:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    docstrings[before.target.id] = inspect.cleandoc(text)
    return docstrings


def _text(docstring: str) -> str:
    return " ".join(docstring.split()).replace("|", "\\|")


def main(arguments: list[str] | None = None) -> int:
    """Write the page. With --check, return 1 if it is stale and write nothing."""
    parser = argparse.ArgumentParser(description="Write docs/loop-yaml.md from the models.")
    parser.add_argument("--check", action="store_true", help="only report whether the page is stale")
    if not parser.parse_args(arguments).check:
        PAGE.write_text(page())
        return 0
    if _read(PAGE) == page():
        return 0
    sys.stderr.write(f"{PAGE} is stale: run `python -m driftloop.loop.reference`\n")
    return 1


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())

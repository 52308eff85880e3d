"""Matches an imported model's tensors with a loop's inputs and score.

Pure. Matches by name where the model has names, and never guesses an order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from driftloop.model.bundle import Input
from driftloop.model.losses import LabelKind

Link = Literal["identity", "sigmoid", "softmax", "exp"]
LINKS: tuple[Link, ...] = ("identity", "sigmoid", "softmax", "exp")

NUMBERS = ("float", "double", "float16", "int64", "int32")
"""ONNX element types of inputs that take the loop's numbers."""
WHOLE = ("int64", "int32")
TEXT = "string"
_SCORES = ("float", "double", "float16")
_ONE = ("1", "1.0", "true")


class Mismatch(ValueError):
    """The loop cannot use the model as given. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a graph."""

    name: str
    dtype: str
    """Name of the ONNX element type, in lower case."""
    shape: tuple[int | None, ...] | None
    """A None axis has any length. The whole shape is None if it is unknown."""
    classes: tuple[str, ...] = ()
    """Class labels of an output's columns, if the graph has them."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options of an import, for what names do not tell."""

    columns: Mapping[str, Sequence[str]]
    """Loop inputs for each model input, in order. The key ``""`` means the model's only input."""
    output: str = ""
    classes: Sequence[str] = ()
    """Names of the output's columns, in order."""
    positive: str = ""
    """The class that counts as the loop's 1."""
    link: Link = "identity"


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """How the loop calls the model."""

    inputs: tuple[tuple[str, tuple[str, ...]], ...]
    """Each graph input with the loop's inputs for its columns, in order."""
    output: str
    score_columns: tuple[int, ...]
    """Output columns of the score, in order: one, or one per class."""
    link: Link = "identity"


def match_inputs(
    tensors: Sequence[Tensor], own: Sequence[Input], options: ImportOptions
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the loop's inputs for each input of a graph.

    Raises:
        Mismatch: names or an order are missing, or types or widths differ.
    """
    known = names_of(own)
    columns = _by_tensor(tensors, options.columns)
    found = []
    for tensor in tensors:
        width = _width(tensor)
        names = columns.get(tensor.name) or _own_name(tensor, width, known)
        if not names:
            raise Mismatch(
                f"its input {tensor.name!r} takes {width or 'some'} columns, and bears no name of the loop's inputs: "
                f"say which, in order, with --columns {tensor.name}=...; the loop has {_list(own)}"
            )
        found.append((tensor.name, tuple(each.name for each in _fitting(tensor, width, names, known, own))))
    return tuple(found)


def match_output(
    tensors: Sequence[Tensor], kind: LabelKind, classes: Sequence[str], options: ImportOptions
) -> tuple[str, tuple[int, ...]]:
    """Return the output that holds the scores, and its columns in the order of the loop's score.

    Raises:
        Mismatch: no output or several outputs fit, or the columns differ from the label's kind.
    """
    tensor = _score_tensor(tensors, kind, options.output)
    width = _width(tensor) or 1
    if kind == "multiclass":
        return tensor.name, _class_columns(tensor, width, classes, options)
    if kind == "binary" and width == 2:
        return tensor.name, (_positive(tensor, options),)
    if width != 1:
        needed = "the probability of 1, alone or beside that of 0" if kind == "binary" else "one number"
        raise Mismatch(f"its output {tensor.name!r} has {width} columns; a loop of the kind {kind} needs {needed}")
    return tensor.name, (0,)


def _by_tensor(tensors: Sequence[Tensor], columns: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    given = dict(columns)
    there = ", ".join(each.name for each in tensors)
    if "" in given:
        if len(tensors) != 1:
            raise Mismatch(f"it has the inputs {there}: say --columns INPUT=NAME,NAME,... for each")
        given[tensors[0].name] = given.pop("")
    for name in given.keys() - {each.name for each in tensors}:
        raise Mismatch(f"--columns names {name!r}, which is no input of the model; it has {there}")
    return given


def names_of(own: Sequence[Input]) -> dict[str, Input]:
    """Return the loop's inputs by full name, by ``view:feature``, and by feature name if it is unique."""
    found = {each.name: each for each in own}
    alone = Counter(each.feature or each.name for each in own)
    for each in own:
        if each.feature:
            found.setdefault(f"{each.view}:{each.feature}", each)
            if alone[each.feature] == 1:
                found.setdefault(each.feature, each)
    return found


def _own_name(tensor: Tensor, width: int | None, known: Mapping[str, Input]) -> tuple[str, ...]:
    return (tensor.name,) if width in (1, None) and tensor.name in known else ()


def _width(tensor: Tensor) -> int | None:
    """Return the number of columns, or None if the graph leaves it open."""
    if tensor.shape is None:
        return None
    if not 1 <= len(tensor.shape) <= 2:
        raise Mismatch(f"its {tensor.name!r} has {len(tensor.shape)} axes; a row must be a row of columns")
    if tensor.shape[0] is not None:
        raise Mismatch(
            f"its {tensor.name!r} is made for {tensor.shape[0]} rows at a time: export it for any number of rows"
        )
    return tensor.shape[1] if len(tensor.shape) == 2 else 1


def _fitting(
    tensor: Tensor, width: int | None, names: Sequence[str], known: Mapping[str, Input], own: Sequence[Input]
) -> Iterator[Input]:
    if width is not None and len(names) != width:
        raise Mismatch(f"its input {tensor.name!r} takes {width} columns, not the {len(names)} that --columns names")
    if tensor.dtype not in (*NUMBERS, TEXT):
        raise Mismatch(f"its input {tensor.name!r} takes {tensor.dtype}; it must be a number or a string")
    for name in names:
        if name not in known:
            raise Mismatch(f"the loop has no input {name!r}; it has {_list(own)}")
        if (known[name].dtype == "string") != (tensor.dtype == TEXT):
            raise Mismatch(f"its input {tensor.name!r} takes {tensor.dtype}, but {name} is a {known[name].dtype}")
        yield known[name]


def _list(own: Sequence[Input]) -> str:
    return ", ".join(each.name for each in own)


def _score_tensor(tensors: Sequence[Tensor], kind: LabelKind, wish: str) -> Tensor:
    able = [each for each in tensors if each.dtype in _SCORES]
    there = ", ".join(each.name for each in able)
    if wish:
        chosen = [each for each in able if each.name == wish]
        if not chosen:
            raise Mismatch(f"it has no output {wish!r} of numbers; it has {there or 'none'}")
        return chosen[0]
    if len(able) == 1:
        return able[0]
    if able:
        raise Mismatch(f"it has the outputs {there}: say which holds the scores, with --output")
    needed = "export it with its probabilities" if kind in ("binary", "multiclass") else "export it with its score"
    raise Mismatch(f"it gives no number, only {', '.join(each.name for each in tensors)}: {needed}")


def _positive(tensor: Tensor, options: ImportOptions) -> int:
    """Return the column of the loop's 1: the second if neither the graph nor the options name the classes."""
    names = tuple(options.classes) or tensor.classes
    if not names and not options.positive:
        return 1
    ones = [options.positive.lower()] if options.positive else list(_ONE)
    found = [place for place, name in enumerate(names) if name.lower() in ones]
    if len(found) != 1:
        there = f"its classes are {', '.join(names)}" if names else "its classes bear no names"
        how = "" if names else "name them in order, with --classes, and "
        raise Mismatch(f"{there}: {how}say which is the loop's 1, with --positive")
    return found[0]


def _class_columns(tensor: Tensor, width: int, classes: Sequence[str], options: ImportOptions) -> tuple[int, ...]:
    """Return the column of each loop class, in the loop's order if neither graph nor options name them."""
    if width != len(classes):
        raise Mismatch(f"its output {tensor.name!r} has {width} columns; the loop has {len(classes)} classes")
    names = tuple(options.classes) or tensor.classes
    places = [str(place) for place in range(width)]
    if not names or sorted(names) == sorted(places) != sorted(classes):
        names = tuple(classes[int(name)] for name in names or places)
    if sorted(names) != sorted(classes):
        raise Mismatch(
            f"its classes are {', '.join(names)}, the loop's {', '.join(classes)}: name the columns of "
            f"{tensor.name!r} in order by the loop's names, with --classes"
        )
    return tuple(names.index(name) for name in classes)

"""Matches an imported model's tensors with a loop's inputs and score.

Pure. Matches by name where the model has names, and never guesses an order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from driftloop.model.bundle import Input
from driftloop.model.labels import LabelKind

Link = Literal["identity", "sigmoid", "softmax", "exp"]
LINKS: tuple[Link, ...] = ("identity", "sigmoid", "softmax", "exp")

NUMBERS = ("float", "double", "float16", "int64", "int32")
"""ONNX element types of inputs that take the loop's numbers."""
INTEGERS = ("int64", "int32")
TEXT = "string"
_SCORES = ("float", "double", "float16")
_TRUE_NAMES = ("1", "1.0", "true")


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
    tensors: Sequence[Tensor], loop_inputs: Sequence[Input], options: ImportOptions
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the loop's inputs for each input of a graph.

    Raises:
        Mismatch: names or an order are missing, or types or widths differ.
    """
    known = inputs_by_name(loop_inputs)
    columns = _columns_by_tensor(tensors, options.columns)
    matches = []
    for tensor in tensors:
        width = width_of(tensor)
        names = columns.get(tensor.name)
        if not names and width in (1, None) and tensor.name in known:
            names = (tensor.name,)
        if not names:
            raise Mismatch(
                f"input {tensor.name!r} takes {width or 'some'} columns and its name is not an input of the loop: "
                f"list its columns in order with --columns {tensor.name}=...; the loop has {_names(loop_inputs)}"
            )
        matches.append((tensor.name, tuple(_input_names(tensor, width, names, known))))
    return tuple(matches)


def match_output(
    tensors: Sequence[Tensor], kind: LabelKind, classes: Sequence[str], options: ImportOptions
) -> tuple[str, tuple[int, ...]]:
    """Return the output that holds the scores, and its columns in the order of the loop's score.

    Raises:
        Mismatch: no output or several outputs fit, or the columns differ from the label's kind.
    """
    tensor = _find_score_output(tensors, kind, options.output)
    width = width_of(tensor) or 1
    if kind == "multiclass":
        return tensor.name, _class_columns(tensor, width, classes, options)
    if kind == "binary" and width == 2:
        return tensor.name, (_positive_column(tensor, options),)
    if width != 1:
        needed = "the probability of 1, alone or beside that of 0" if kind == "binary" else "one number"
        raise Mismatch(f"output {tensor.name!r} has {width} columns, but a {kind} loop needs {needed}")
    return tensor.name, (0,)


def _columns_by_tensor(tensors: Sequence[Tensor], columns: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    by_tensor = dict(columns)
    if "" in by_tensor:
        if len(tensors) != 1:
            raise Mismatch(f"it has the inputs {_names(tensors)}: use --columns INPUT=NAME,NAME,... for each")
        by_tensor[tensors[0].name] = by_tensor.pop("")
    for name in by_tensor.keys() - {tensor.name for tensor in tensors}:
        raise Mismatch(f"--columns names {name!r}, which is not an input of the model; it has {_names(tensors)}")
    return by_tensor


def inputs_by_name(loop_inputs: Sequence[Input]) -> dict[str, Input]:
    """Return the loop's inputs by full name, by ``view:feature``, and by feature name if it is unique."""
    by_name = {loop_input.name: loop_input for loop_input in loop_inputs}
    counts = Counter(loop_input.feature or loop_input.name for loop_input in loop_inputs)
    for loop_input in loop_inputs:
        if loop_input.feature:
            by_name.setdefault(f"{loop_input.view}:{loop_input.feature}", loop_input)
            if counts[loop_input.feature] == 1:
                by_name.setdefault(loop_input.feature, loop_input)
    return by_name


def width_of(tensor: Tensor) -> int | None:
    """Return the number of columns, or None if the graph leaves it open.

    Raises:
        Mismatch: it does not have one or two axes, or it takes a fixed number of rows.
    """
    if tensor.shape is None:
        return None
    if not 1 <= len(tensor.shape) <= 2:
        raise Mismatch(f"{tensor.name!r} has {len(tensor.shape)} axes; it must have rows and columns")
    if tensor.shape[0] is not None:
        raise Mismatch(f"{tensor.name!r} takes exactly {tensor.shape[0]} rows: export it for any number of rows")
    return tensor.shape[1] if len(tensor.shape) == 2 else 1


def check_input_type(tensor: Tensor) -> None:
    """Raise Mismatch if a graph's input takes neither numbers nor strings."""
    if tensor.dtype not in (*NUMBERS, TEXT):
        raise Mismatch(f"input {tensor.name!r} takes {tensor.dtype}; it must take numbers or strings")


def _input_names(tensor: Tensor, width: int | None, names: Sequence[str], known: Mapping[str, Input]) -> Iterator[str]:
    if width is not None and len(names) != width:
        raise Mismatch(f"input {tensor.name!r} takes {width} columns, but --columns names {len(names)}")
    check_input_type(tensor)
    for name in names:
        if name not in known:
            raise Mismatch(f"the loop has no input {name!r}; it has {_names(dict.fromkeys(known.values()))}")
        loop_input = known[name]
        if (loop_input.dtype == "string") != (tensor.dtype == TEXT):
            raise Mismatch(f"input {tensor.name!r} takes {tensor.dtype}, but {name} is a {loop_input.dtype}")
        yield loop_input.name


def _names(items: Iterable[Input | Tensor]) -> str:
    return ", ".join(item.name for item in items)


def _find_score_output(tensors: Sequence[Tensor], kind: LabelKind, wanted: str) -> Tensor:
    numeric = [tensor for tensor in tensors if tensor.dtype in _SCORES]
    if wanted:
        for tensor in numeric:
            if tensor.name == wanted:
                return tensor
        raise Mismatch(f"it has no numeric output {wanted!r}; it has {_names(numeric) or 'none'}")
    if len(numeric) == 1:
        return numeric[0]
    if numeric:
        raise Mismatch(f"it has the outputs {_names(numeric)}: name the one with the scores with --output")
    needed = "probabilities" if kind in ("binary", "multiclass") else "score"
    raise Mismatch(f"it has no numeric output, only {_names(tensors)}: export it with its {needed}")


def _positive_column(tensor: Tensor, options: ImportOptions) -> int:
    """Return the column of the loop's 1: the second if neither the graph nor the options name the classes."""
    names = tuple(options.classes) or tensor.classes
    if not names and not options.positive:
        return 1
    positives = [options.positive.lower()] if options.positive else list(_TRUE_NAMES)
    columns = [column for column, name in enumerate(names) if name.lower() in positives]
    if len(columns) == 1:
        return columns[0]
    if not names:
        raise Mismatch("its classes have no names: list them in order with --classes, and the loop's 1 with --positive")
    raise Mismatch(f"its classes are {', '.join(names)}: name the one that is the loop's 1 with --positive")


def _class_columns(tensor: Tensor, width: int, classes: Sequence[str], options: ImportOptions) -> tuple[int, ...]:
    """Return the column of each loop class, in the loop's order if neither graph nor options name them."""
    if width != len(classes):
        raise Mismatch(f"output {tensor.name!r} has {width} columns, but the loop has {len(classes)} classes")
    names = tuple(options.classes) or tensor.classes
    numbers = [str(column) for column in range(width)]
    if not names or sorted(names) == sorted(numbers) != sorted(classes):
        names = tuple(classes[int(name)] for name in names or numbers)
    if sorted(names) != sorted(classes):
        raise Mismatch(
            f"its classes are {', '.join(names)}, the loop's are {', '.join(classes)}: list the columns of "
            f"{tensor.name!r} in order, by the loop's names, with --classes"
        )
    return tuple(names.index(name) for name in classes)

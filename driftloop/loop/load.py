"""Reads ``loops/<name>``: the definition with its errors at the line, and the descriptor set of its events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from pydantic import ValidationError
from yaml.constructor import SafeConstructor

from driftloop.loop.definition import LoopDefinition, ReferenceProblem
from driftloop.process.errors import LoopDefinitionError

DESCRIPTORS = "events.binpb"


@dataclass(frozen=True)
class Loop:
    """A loop's definition and the folder it stands in."""

    definition: LoopDefinition
    folder: Path

    @property
    def name(self) -> str:
        """The loop's name."""
        return self.definition.loop

    @cached_property
    def messages(self) -> dict[str, type[Message]]:
        """Message class of each event type, from the descriptor set beside ``loop.yaml``.

        Raises:
            LoopDefinitionError: the set is missing or lacks a message.
        """
        path = self.folder / DESCRIPTORS
        if not path.exists():
            raise LoopDefinitionError(
                [f"{path}:1: missing; compile the loop's protos with `python -m driftloop.loop.compile {self.folder}`"]
            )
        files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            pool.Add(file)
        return {name: self._message(pool, event.message) for name, event in self.definition.events.items()}

    def line_of(self, *place: str) -> str:
        """``file:line`` of a key of ``loop.yaml``, for who finds it wrong later than `load_loop`."""
        path = self.folder / "loop.yaml"
        return f"{path}:{_line(_parse(path)[0], place)}"

    def _message(self, pool: descriptor_pool.DescriptorPool, full_name: str) -> type[Message]:
        try:
            return message_factory.GetMessageClass(pool.FindMessageTypeByName(full_name))
        except KeyError:
            raise LoopDefinitionError(
                [f"{self.folder / 'loop.yaml'}:1: no message {full_name} in {DESCRIPTORS}"]
            ) from None


def load_loop(folder: Path) -> Loop:
    """Read ``<folder>/loop.yaml``.

    Raises:
        LoopDefinitionError: one line for each problem, with file and line.
    """
    path = folder / "loop.yaml"
    tree, data = _parse(path)
    try:
        definition = LoopDefinition.model_validate(data)
    except ValidationError as error:
        problems = [(_place(each), _say(each)) for each in error.errors()]
        raise LoopDefinitionError([f"{path}:{_line(tree, at)}: {what}" for at, what in problems]) from error
    if definition.loop != folder.name:
        what = f"loop is {definition.loop!r}, its folder {folder.name!r}; they must be one"
        raise LoopDefinitionError([f"{path}:{_line(tree, ('loop',))}: {what}"])
    return Loop(definition, folder)


def _parse(path: Path) -> tuple[yaml.Node | None, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        tree = _compose(text)
        data = None if tree is None else SafeConstructor().construct_document(tree)
    except (OSError, UnicodeDecodeError) as error:
        raise LoopDefinitionError([f"{path}:1: cannot be read: {error}"]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or error
        raise LoopDefinitionError([f"{path}:{mark.line + 1 if mark else 1}: not YAML: {what}"]) from error
    if twice := list(_twice(tree)):
        raise LoopDefinitionError([f"{path}:{line}: {key} stands here a second time" for key, line in twice])
    return tree, data


def _compose(text: str) -> yaml.Node | None:
    """By libyaml, which takes a tenth of the time; what is wrong is told by the other, which knows the line better."""
    try:
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _twice(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Keys that a mapping has twice, with their lines: YAML's loader would let the last win."""
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _twice(each)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                yield str(key.value), key.start_mark.line + 1
            seen.add(str(key.value))
            yield from _twice(value)


def load_loops(folder: Path, names: Sequence[str] = ()) -> list[Loop]:
    """Every loop in a folder, or those named, sorted by name; raises as `load_loop` does, with all problems."""
    found = sorted(path.parent for path in folder.glob("*/loop.yaml"))
    absent = sorted(set(names) - {path.name for path in found})
    problems = [f"{folder / name}/loop.yaml:1: there is no such loop" for name in absent]
    loops = []
    for path in found:
        if names and path.name not in names:
            continue
        try:
            loops.append(load_loop(path))
        except LoopDefinitionError as error:
            problems += error.problems
    if problems:
        raise LoopDefinitionError(problems)
    return loops


def _place(error: Any) -> tuple[str | int, ...]:
    cause = error.get("ctx", {}).get("error")
    return tuple(cause.place) if isinstance(cause, ReferenceProblem) else tuple(error["loc"])


def _say(error: Any) -> str:
    where = ".".join(str(part) for part in _place(error))
    cause = error.get("ctx", {}).get("error")
    message = str(cause) if isinstance(cause, ValueError) else error["msg"]
    what = {"extra_forbidden": "unknown key", "missing": "missing"}.get(error["type"], message)
    return f"{where}: {what}" if where else str(what)


def _line(node: yaml.Node | None, location: Iterable[str | int]) -> int:
    """Line of the deepest node on a location's way, from 1."""
    line = 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line

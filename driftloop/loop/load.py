"""Reads ``loops/<name>``: the definition, whose errors name the line, and the descriptor set of its events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from pydantic import ValidationError
from yaml.constructor import SafeConstructor

from driftloop.loop.definition import LoopDefinition, ReferenceProblem
from driftloop.process.errors import LoopDefinitionError

DESCRIPTORS = "events.binpb"


@dataclass(frozen=True)
class Loop:
    """A loop's definition and its folder."""

    definition: LoopDefinition
    folder: Path

    @property
    def name(self) -> str:
        return self.definition.loop

    @cached_property
    def messages(self) -> dict[str, type[Message]]:
        """Message class by event type, from the descriptor set beside ``loop.yaml``.

        Raises:
            LoopDefinitionError: the set is missing or lacks a message.
        """
        path = self.folder / DESCRIPTORS
        if not path.exists():
            raise LoopDefinitionError(
                [f"{path}:1: missing; compile the loop's protos with `python -m driftloop.loop.compile {self.folder}`"]
            )
        pool = descriptor_pool.DescriptorPool()
        try:
            for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
                pool.Add(file)
        except (DecodeError, TypeError) as error:
            compile_again = f"compile it again with `python -m driftloop.loop.compile {self.folder}`"
            raise LoopDefinitionError([f"{path}:1: not a descriptor set ({error}); {compile_again}"]) from error
        messages: dict[str, type[Message]] = {}
        problems = []
        for name, event in self.definition.events.items():
            try:
                messages[name] = message_factory.GetMessageClass(pool.FindMessageTypeByName(event.message))
            except KeyError:
                where = self.line_of("events", name, "message")
                problems.append(f"{where}: events.{name}.message: {DESCRIPTORS} has no message {event.message}")
        if problems:
            raise LoopDefinitionError(problems)
        return messages

    def line_of(self, *key_path: str) -> str:
        """Return ``file:line`` of a key of ``loop.yaml``, for checks that run after `load_loop`."""
        path = self.folder / "loop.yaml"
        return f"{path}:{_line(_parse(path)[0], key_path)}"


def load_loop(folder: Path) -> Loop:
    """Read ``<folder>/loop.yaml``.

    Raises:
        LoopDefinitionError: the file is not valid; one ``file:line: problem`` per problem.
    """
    path = folder / "loop.yaml"
    tree, data = _parse(path)
    try:
        definition = LoopDefinition.model_validate(data)
    except ValidationError as error:
        problems = [f"{path}:{_line(tree, _key_path(detail))}: {_message(detail)}" for detail in error.errors()]
        raise LoopDefinitionError(problems) from error
    if definition.loop != folder.name:
        message = f"loop is {definition.loop!r} but its folder is {folder.name!r}; give both the same name"
        raise LoopDefinitionError([f"{path}:{_line(tree, ('loop',))}: {message}"])
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
        problem = getattr(error, "problem", None) or error
        raise LoopDefinitionError([f"{path}:{mark.line + 1 if mark else 1}: not YAML: {problem}"]) from error
    if repeated := list(_repeated_keys(tree)):
        raise LoopDefinitionError([f"{path}:{line}: repeats the key {key}; remove one" for key, line in repeated])
    return tree, data


def _compose(text: str) -> yaml.Node | None:
    # libyaml takes a tenth of the time; the Python parser reports more exact lines.
    try:
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _repeated_keys(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Yield repeated keys with their lines. PyYAML would use the last value without an error."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated_keys(item)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                yield str(key.value), key.start_mark.line + 1
            seen.add(str(key.value))
            yield from _repeated_keys(value)


def load_loops(folder: Path, names: Sequence[str] = ()) -> list[Loop]:
    """Load the named loops of a folder, or all of them, sorted by name.

    Raises:
        LoopDefinitionError: the problems of all these loops.
    """
    folders = sorted(path.parent for path in folder.glob("*/loop.yaml"))
    absent = sorted(set(names) - {path.name for path in folders})
    problems = [f"{folder / name}/loop.yaml:1: missing; there is no loop with this name" for name in absent]
    loops = []
    for path in folders:
        if names and path.name not in names:
            continue
        try:
            loops.append(load_loop(path))
        except LoopDefinitionError as error:
            problems += error.problems
    if problems:
        raise LoopDefinitionError(problems)
    return loops


def _key_path(detail: Any) -> tuple[str | int, ...]:
    cause = detail.get("ctx", {}).get("error")
    return cause.path if isinstance(cause, ReferenceProblem) else tuple(detail["loc"])


def _message(detail: Any) -> str:
    key = ".".join(str(part) for part in _key_path(detail))
    cause = detail.get("ctx", {}).get("error")
    message = str(cause) if isinstance(cause, ValueError) else detail["msg"]
    text = {"extra_forbidden": "unknown key", "missing": "missing"}.get(detail["type"], message)
    return f"{key}: {text}" if key else str(text)


def _line(node: yaml.Node | None, key_path: Iterable[str | int]) -> int:
    """Return the line, from 1, of the deepest existing node on a key path."""
    line = 1
    for part in key_path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and str(part).isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            break
    return line

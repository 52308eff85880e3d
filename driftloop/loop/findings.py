"""Problems and effects that a service reports about a loop, and how it prints them for another process."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from driftloop.loop import Loop, load_loop
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import Settings

KINDS = ("topic", "table", "view", "model", "trainer", "run", "detector", "stage")
"""Kinds of effects, in display order: from input to rollout."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that will exist or happen when the loop runs."""

    kind: str
    """One of `KINDS`."""
    name: str
    what: str
    """Description that follows the name."""


@dataclass(frozen=True, slots=True)
class Read:
    """A column that a service reads, and the types that it can use. Another service knows the column's type."""

    where: str
    """``file:line`` of the key or code that names the column."""
    what: str
    """Who reads it, such as ``prediction.key``."""
    event_type: str
    column: str
    types: tuple[str, ...]
    """Names of Arrow types."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Problems, as ``file:line: message``, and effects of a loop; and what `check` compares between services."""

    problems: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Arrow type of each column by event type; ``""`` if it is not known."""
    reads: tuple[Read, ...] = ()
    features: tuple[tuple[str, str], ...] = ()
    """Name and type (``double`` or ``string``) of each feature of the model, in the order of its inputs."""
    warnings: tuple[str, ...] = ()
    """What works but will probably not do what it should, as ``file:line: message``."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Findings:
        """Build the findings of one loop from the output of `answer`."""
        return cls(
            tuple(data["problems"]),
            tuple(Effect(**effect) for effect in data["effects"]),
            data["columns"],
            tuple(Read(**{**read, "types": tuple(read["types"])}) for read in data["reads"]),
            tuple((name, dtype) for name, dtype in data["features"]),
            tuple(data["warnings"]),
        )


Inspect = Callable[[Loop, Settings], Findings]
"""Returns the findings of a service about a loop; raises LoopDefinitionError if nothing more can be said."""


def answer(inspect: Inspect, arguments: list[str] | None = None) -> int:
    """Inspect the loop folders given on the command line and print the findings by loop as JSON.

    Output of a loop's own code goes to standard error.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    os.environ["TZ"] = "UTC"
    time.tzset()
    settings, findings = Settings(), {}
    with contextlib.redirect_stdout(sys.stderr):
        for folder in parser.parse_args(arguments).folders:
            findings[folder.name] = asdict(findings_of(inspect, load_loop(folder), settings))
    sys.stdout.write(json.dumps(findings) + "\n")
    return 0


def findings_of(inspect: Inspect, loop: Loop, settings: Settings) -> Findings:
    """Return what a service finds; an error that it raises becomes its problems."""
    try:
        return inspect(loop, settings)
    except LoopDefinitionError as error:
        return Findings(problems=tuple(error.problems))

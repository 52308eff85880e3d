"""Problems and effects that a service reports about a loop, and how it prints them for another process."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
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
class Findings:
    """Problems, as ``file:line: message``, and effects of a loop."""

    problems: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Findings:
        """Build the findings of one loop from the output of `answer`."""
        return cls(tuple(data["problems"]), tuple(Effect(**effect) for effect in data["effects"]))


Inspect = Callable[[Loop, Settings], Iterable[Effect]]
"""Returns the effects of a loop in a service; raises LoopDefinitionError with all problems."""


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
            findings[folder.name] = asdict(_findings(inspect, folder, settings))
    sys.stdout.write(json.dumps(findings) + "\n")
    return 0


def _findings(inspect: Inspect, folder: Path, settings: Settings) -> Findings:
    try:
        return Findings(effects=tuple(inspect(load_loop(folder), settings)))
    except LoopDefinitionError as error:
        return Findings(problems=tuple(error.problems))

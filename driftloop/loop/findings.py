"""What one part of the system has to say of a loop, and how it says so to another process."""

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
"""Kinds of effects, from what comes in to what goes live."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that will be there, or happen, once the loop runs."""

    kind: str
    """One of `KINDS`."""
    name: str
    what: str
    """The rest of the sentence."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong, a line each as ``file:line: what``, and what will happen."""

    problems: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Findings:
        """The findings that `answer` printed."""
        return cls(tuple(found["problems"]), tuple(Effect(**each) for each in found["effects"]))


Inspect = Callable[[Loop, Settings], Iterable[Effect]]
"""Says what a service will make of a loop; raises LoopDefinitionError with all that it would refuse."""


def answer(inspect: Inspect, arguments: list[str] | None = None) -> int:
    """Inspect the loops whose folders stand on the command line; prints JSON, findings by loop. Returns the exit code.

    What a loop's own code prints goes to standard error.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    os.environ["TZ"] = "UTC"
    time.tzset()
    settings, found = Settings(), {}
    with contextlib.redirect_stdout(sys.stderr):
        for folder in parser.parse_args(arguments).folders:
            found[folder.name] = asdict(_findings(inspect, folder, settings))
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _findings(inspect: Inspect, folder: Path, settings: Settings) -> Findings:
    try:
        return Findings(effects=tuple(inspect(load_loop(folder), settings)))
    except LoopDefinitionError as error:
        return Findings(problems=tuple(error.problems))

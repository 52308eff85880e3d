"""Runs what a document notifies people to run: its fenced blocks, in order, in one shell, as they stand.

``sh``
    Sourced by the shell, so that variables, functions and jobs stay. The first command that fails ends it all.
``sh exit=1``
    Run in a subshell that has to end with this code: what is meant to be refused.
``python``
    Run by the shell's ``python``.
``python title="ask.py"``, or any other language with a title
    Written to that file in the shell's folder, for later blocks to use.

Renderers show nothing of what follows the language.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

SHELL: Final = ("sh", "bash", "shell")
_LOOK_S = 0.2


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    path: Path
    line: int
    """Of the block's first line, counted from 1."""
    language: str
    text: str
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What follows the language, as ``name=value``."""

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}"


@dataclass(frozen=True)
class Ran:
    """A block that has ended."""

    block: Block
    output: str
    """Standard output and error as they came."""
    seconds: float


def blocks(path: Path, *languages: str) -> list[Block]:
    """Fenced blocks of a Markdown file in these languages, in order; all where none is named."""
    found = []
    for token in MarkdownIt("commonmark").parse(path.read_text()):
        if token.type != "fence" or token.map is None:
            continue
        language, *rest = shlex.split(token.info) or [""]
        options = dict(each.split("=", 1) for each in rest if "=" in each)
        if not languages or language in languages:
            found.append(Block(path, token.map[0] + 2, language, token.content, options))
    return found


def sections(path: Path) -> dict[str, list[Block]]:
    """A file's blocks by the headings above them, ``Heading: deeper heading``."""
    found: dict[str, list[Block]] = {}
    headings: list[str] = []
    rest = iter(blocks(path))
    tokens = MarkdownIt("commonmark").parse(path.read_text())
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            headings = [*headings[: max(0, int(token.tag[1:]) - 2)], tokens[at + 1].content]
        elif token.type == "fence":
            found.setdefault(": ".join(headings), []).append(next(rest))
    return found


class Shell:
    """A bash that lives as long as the document's reader; `run` gives it one block after the other."""

    def __init__(self, folder: Path, environment: Mapping[str, str], instead: Mapping[str, str]) -> None:
        self.folder = folder
        """Where it stands at first."""
        self._instead = instead
        self._log = folder / ".said"
        self._number = 0
        self._ended, self._told = os.pipe()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["/bin/bash", "--noprofile", "--norc"],
                cwd=folder, env=dict(environment), stdin=subprocess.PIPE, stdout=log, stderr=log,
                pass_fds=[self._told], start_new_session=True,
            )  # fmt: skip
        os.close(self._told)  # the shell's number for it stays

    def run(self, block: Block, timeout_s: float = 300.0) -> Ran:
        """Run a block to its end.

        Raises:
            AssertionError: it failed, or took longer; says where it stands and what was printed.
        """
        text = block.text
        for said, here in self._instead.items():
            text = text.replace(said, here)
        began, printed_before = time.monotonic(), self._log.stat().st_size
        code = self._end_of(self._lines(block, text), timeout_s)
        output = self._log.read_bytes()[printed_before:].decode(errors="replace")
        expected = int(block.options.get("exit", 0))
        assert code == expected, f"{block} ended with {code}, not {expected}:\n{text}\n{output}"
        return Ran(block, output, time.monotonic() - began)

    def close(self) -> None:
        """End it, and the jobs that it left."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30.0)
        if self._process.stdin is not None:
            self._process.stdin.close()
        os.close(self._ended)

    def _lines(self, block: Block, text: str) -> str:
        """What bash is given for a block."""
        if title := block.options.get("title"):
            (self.folder / title).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / title).write_text(text)
            return "true"
        self._number += 1
        file = self.folder / f".block-{self._number}"
        file.write_text(text)
        quoted = shlex.quote(str(file))
        if block.language in SHELL:
            return f"( set -e; . {quoted} )" if "exit" in block.options else f"set -e; . {quoted}; set +e"
        assert block.language == "python", f"{block}: nothing here runs {block.language!r}"
        return f"python {quoted}"

    def _end_of(self, lines: str, timeout_s: float) -> int | str:
        """Exit code of what is given; of the shell itself where that has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{{ {lines}; }} </dev/null; echo $? >&{self._told}\n".encode())
        self._process.stdin.flush()
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if select.select([self._ended], [], [], _LOOK_S)[0] and (said := os.read(self._ended, 64)):
                return int(said)
            if (code := self._process.poll()) is not None:
                return code
        return f"nothing after {timeout_s:g} s"


@contextmanager
def shell(folder: Path, environment: Mapping[str, str], instead: Mapping[str, str] | None = None) -> Iterator[Shell]:
    """A shell in a folder for the length of a test. ``instead``: what a document says, to what is right here."""
    found = Shell(folder, environment, instead or {})
    try:
        yield found
    finally:
        found.close()

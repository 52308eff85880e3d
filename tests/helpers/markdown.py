"""Runs the snippets of a document: its fenced blocks, in order, in one shell, unchanged.

``sh``
    Sourced by the shell, so that variables, functions and jobs stay. The first command that fails ends the run.
``sh exit=1``
    Run in a subshell that must end with this code, for commands that must fail.
``python``
    Run by the shell's ``python``.
``python title="ask.py"``, or any other language with a title
    Written to that file in the shell's folder, for later blocks to use.

Markdown renderers do not show the text after the language.
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
    """Line number of the block's first line, from 1."""
    language: str
    text: str
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The options after the language, ``name=value``."""

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}"


@dataclass(frozen=True)
class BlockResult:
    """The result of a block."""

    block: Block
    output: str
    """Standard output and standard error."""
    seconds: float


def blocks(path: Path, *languages: str) -> list[Block]:
    """Return the fenced blocks of a Markdown file in these languages (default: all), in order."""
    fenced = []
    for token in MarkdownIt("commonmark").parse(path.read_text()):
        if token.type != "fence" or token.map is None:
            continue
        language, *rest = shlex.split(token.info) or [""]
        options = dict(word.split("=", 1) for word in rest if "=" in word)
        if not languages or language in languages:
            fenced.append(Block(path, token.map[0] + 2, language, token.content, options))
    return fenced


def sections(path: Path) -> dict[str, list[Block]]:
    """Return a file's blocks by the headings above them, ``Heading: deeper heading``."""
    by_heading: dict[str, list[Block]] = {}
    headings: list[str] = []
    rest = iter(blocks(path))
    tokens = MarkdownIt("commonmark").parse(path.read_text())
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            headings = [*headings[: max(0, int(token.tag[1:]) - 2)], tokens[at + 1].content]
        elif token.type == "fence":
            by_heading.setdefault(": ".join(headings), []).append(next(rest))
    return by_heading


class Shell:
    """A bash process that runs the blocks of one document."""

    def __init__(self, folder: Path, environment: Mapping[str, str], instead: Mapping[str, str]) -> None:
        self.folder = folder
        """First working directory."""
        self._instead = instead
        self._log = folder / ".output"
        self._number = 0
        self._read_end, self._write_end = os.pipe()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["/bin/bash", "--noprofile", "--norc"],
                cwd=folder, env=dict(environment), stdin=subprocess.PIPE, stdout=log, stderr=log,
                pass_fds=[self._write_end], start_new_session=True,
            )  # fmt: skip
        os.close(self._write_end)  # bash inherited the descriptor under the same number

    def run(self, block: Block, timeout_s: float = 300.0) -> BlockResult:
        """Run a block.

        Raises:
            AssertionError: wrong exit code, or a timeout; the message has the block's position and output.
        """
        text = block.text
        for original, replacement in self._instead.items():
            text = text.replace(original, replacement)
        began, printed_before = time.monotonic(), self._log.stat().st_size
        code = self._exit_code(self._lines(block, text), timeout_s)
        output = self._log.read_bytes()[printed_before:].decode(errors="replace")
        expected = int(block.options.get("exit", 0))
        assert code == expected, f"{block} ended with {code}, not {expected}:\n{text}\n{output}"
        return BlockResult(block, output, time.monotonic() - began)

    def close(self) -> None:
        """End the shell and its background jobs."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30.0)
        if self._process.stdin is not None:
            self._process.stdin.close()
        os.close(self._read_end)

    def _lines(self, block: Block, text: str) -> str:
        """Return the commands that run a block in bash."""
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
        assert block.language == "python", f"{block}: cannot run {block.language!r}"
        return f"python {quoted}"

    def _exit_code(self, lines: str, timeout_s: float) -> int | str:
        """Run commands and return their exit code, or that of the shell if it has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{{ {lines}; }} </dev/null; echo $? >&{self._write_end}\n".encode())
        self._process.stdin.flush()
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if select.select([self._read_end], [], [], _LOOK_S)[0] and (code_text := os.read(self._read_end, 64)):
                return int(code_text)
            if (code := self._process.poll()) is not None:
                return code
        return f"no exit code after {timeout_s:g} s"


@contextmanager
def shell(folder: Path, environment: Mapping[str, str], instead: Mapping[str, str] | None = None) -> Iterator[Shell]:
    """Run a shell in a folder. ``instead`` maps texts of the document to replacements that work in the test."""
    session = Shell(folder, environment, instead or {})
    try:
        yield session
    finally:
        session.close()

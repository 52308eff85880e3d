"""Copies of a valid loop that tests edit, and where a problem of an edit is reported."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from driftloop.process.settings import ROOT

ORDERS = ROOT / "tests" / "loops" / "orders"


@contextmanager
def copied_orders(folder: Path) -> Iterator[Path]:
    """Yield ``folder / "loops" / "orders"``, a copy of the loop orders; forget its modules at the end."""
    copy = folder / "loops" / "orders"
    shutil.copytree(ORDERS, copy, ignore=shutil.ignore_patterns("protos", "__pycache__"))
    yield copy
    for name in [name for name in sys.modules if name.startswith(("loops.orders", "orders"))]:
        del sys.modules[name]


def reported_line(problems: Sequence[str], path: Path, says: str) -> str:
    """Return the line of a file to which the first problem that says so points; it must not be the first line."""
    reported = [problem for problem in problems if re.search(says, problem)]
    assert reported, problems
    file, line, _ = reported[0].split(":", 2)
    assert (Path(file), int(line) > 1) == (path, True), reported[0]
    return path.read_text().splitlines()[int(line) - 1]


def replace_once(path: Path, old: str, new: str) -> int:
    """Replace the only occurrence of ``old`` in a file. Return the line number of its first word, from 1."""
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1 + (len(old) - len(old.lstrip("\n")))


def replace_first(path: Path, old: str, new: str) -> None:
    """Replace the first occurrence of ``old`` in a file."""
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))

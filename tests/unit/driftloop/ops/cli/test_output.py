"""Texts of people, files and events reach the terminal as they are, without a way to control it."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.tree import Tree

from driftloop.ops.cli.output import Console, Styled, cell, echo
from driftloop.process.printable import printable
from driftloop.process.settings import ROOT

CODES = ("loop.yaml:100: wrong", "[red]not red[/red]", "[/]", "a [link=http://x]b", ":warning: :smile:")
"""What rich would read as markup or emoji."""
ESCAPES = {
    "colour": "a\x1b[31mb",
    "cursor": "a\x1b[2Jb",
    "title": "a\x1b]0;owned\x07b",
    "link": "a\x1b]8;;http://evil\x1b\\b",
    "device": "a\x1bP1;2q\x1b\\b",
    "one byte": "a\x9b31mb",
    "without an end": "a\x1b",
    "reset": "a\x1bcb",
    "bell": "a\x07b",
    "return": "a\rb",
    "backspace": "a\x08b",
    "delete": "a\x7fb",
    "nested": "a\x1b\x1b[31m[31mb",
    "override": "a\u202eb",
    "isolate": "a\u2066b",
    "tag": "a\U000e0041b",
}


@pytest.mark.parametrize("text", ESCAPES.values(), ids=ESCAPES)
def test_escapes_are_removed(text: str) -> None:
    assert re.fullmatch(r"a(\[31m)?b?", printable(text))


def test_an_escape_without_an_end_does_not_hide_what_follows() -> None:
    assert printable("a\x1b]0;title\nand more") == "a0;title\nand more"


def test_other_text_stays() -> None:
    text = "loop.yaml:100: [größe] 漢字 🙂\n\tend"
    assert printable(text) == text
    assert printable("a\nb\tc\u2028d", one_line=True) == "a b c d"


@given(st.text(st.characters()))
def test_nothing_that_controls_a_terminal_is_left(text: str) -> None:
    left = printable(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", left)
    assert printable(left) == left
    left.encode()


@pytest.mark.parametrize("text", CODES)
def test_a_console_prints_markup_and_emoji_codes_as_they_are(text: str) -> None:
    table = Table(title=text, caption=text)
    table.add_column(text)
    table.add_row(text)
    tree = Tree(text)
    tree.add(cell(Styled(text, "red")))
    for printed in (text, table, tree, cell(text)):
        assert text in _printed(printed)


@pytest.mark.parametrize("text", ESCAPES.values(), ids=ESCAPES)
def test_a_console_prints_no_escapes(text: str) -> None:
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    tree = Tree(text)
    tree.add(cell(text))
    for printed in (text, table, tree, cell(text)):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", _printed(printed))


def test_echo_prints_no_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    echo("a\x1b[2J", Styled("b\x1b]0;x\x07\nforged line", "red"), "\ud800")
    assert capsys.readouterr().out == "ab forged line\ufffd\n"


def _printed(value: object) -> str:
    file = io.StringIO()
    Console(file=file, width=200, force_terminal=False).print(value)
    return file.getvalue()


FORBIDDEN = re.compile(
    r"click\.(echo|secho|style|echo_via_pager)\(|(?<![\w.])print\(|rich\.(markup|console)|from_markup"
    r"|sys\.(stdout|stderr)\.write\((?!json)|TextColumn\((?![^)]*markup=False)|\.show\(\)"
)
"""Ways to the terminal that do not go through `driftloop.ops.cli.output`."""


def test_everything_printed_goes_through_one_module() -> None:
    found = []
    for path in sorted((ROOT / "driftloop" / "ops").rglob("*.py")):
        if path != ROOT / "driftloop" / "ops" / "cli" / "output.py":
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found += [f"{path.relative_to(ROOT)}:{number}: {line.strip()}"] if FORBIDDEN.search(line) else []
    assert found == []

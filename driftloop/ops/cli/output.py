"""Prints on the terminal. Everything that a command prints goes through this module.

Texts come from people, files and events. They are printed as they are: rich's markup and emoji codes are off, and
terminal escapes are removed.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import click
import rich.console
from rich.style import Style
from rich.text import Text

from driftloop.process.printable import printable

_WIDTH = 200
"""Width if the output is not a terminal: wide, so that words which a script searches for are not broken."""


class Console(rich.console.Console):
    """A console that prints texts, also those in tables, titles and trees, as they are."""

    def render_str(self, text: str, **options: Any) -> Text:
        options.update(emoji=False, markup=False)
        return super().render_str(printable(text), **options)


@dataclass(frozen=True, slots=True)
class Styled:
    """A part of a line with a style."""

    text: str
    colour: str | None = None
    bold: bool = False
    dim: bool = False


def console(*, err: bool = False) -> Console:
    """Return a console on standard output, or on standard error."""
    if err:
        return Console(stderr=True)
    return Console() if Console().is_terminal else Console(width=_WIDTH)


def cell(*parts: str | Styled) -> Text:
    """Return text with styles, for a table, a tree or the console."""
    text = Text()
    for part in parts:
        styled = part if isinstance(part, Styled) else Styled(part)
        style = Style(color=styled.colour, bold=styled.bold or None, dim=styled.dim or None)
        text.append(printable(styled.text), style)
    return text


def working(text: str) -> AbstractContextManager[object]:
    """Show a status line on standard error while the block runs."""
    return console(err=True).status(cell(text))


def echo(*parts: str | Styled, err: bool = False) -> None:
    """Print a line; a styled part has no line breaks."""
    click.echo("".join(map(_rendered, parts)), err=err)


def echo_json(value: object, *, indent: int | None = None) -> None:
    """Print JSON, in ASCII."""
    click.echo(json.dumps(value, indent=indent))


def _rendered(part: str | Styled) -> str:
    if isinstance(part, str):
        return printable(part)
    dim = True if part.dim else None  # click writes an escape for False
    return click.style(printable(part.text, one_line=True), fg=part.colour, bold=part.bold or None, dim=dim)

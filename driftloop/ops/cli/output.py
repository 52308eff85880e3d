"""The console for tables."""

from __future__ import annotations

from rich.console import Console

_WIDTH = 200
"""Width if the output is not a terminal: wide, so that words which a script searches for are not broken."""


def console() -> Console:
    """Return a console on standard output."""
    return Console() if Console().is_terminal else Console(width=_WIDTH)

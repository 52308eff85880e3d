"""Where tables go."""

from __future__ import annotations

from rich.console import Console

_WIDTH = 200
"""Columns where the output is no terminal: so that nothing is broken that a script or a person looks for."""


def console() -> Console:
    """Standard output: as wide as the terminal, or wide."""
    found = Console()
    return found if found.is_terminal else Console(width=_WIDTH)

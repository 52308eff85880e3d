"""Breaks a copy of a file at one place."""

from __future__ import annotations

from pathlib import Path


def replace_once(path: Path, old: str, new: str) -> int:
    """Replace the one place where ``old`` stands; returns the line of its first word, from 1."""
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    path.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1 + (len(old) - len(old.lstrip("\n")))

"""Names of the values by which quality is sliced."""

from __future__ import annotations


def slice_text(value: str | float) -> str:
    """Return an input's value as text. A whole number has all its digits, because it may be an id."""
    if isinstance(value, str):
        return value
    return str(int(value)) if isinstance(value, int) or value.is_integer() else f"{value:g}"

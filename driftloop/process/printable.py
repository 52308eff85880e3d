"""Makes text that comes from people, files or events safe to print on a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"  # OSC, such as a window title or a link
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\n]*(?:\x1b\\|\x9c)"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI, such as a colour or a cursor movement
    r"|\x1b[ -/]*[0-~]?"  # other escapes, and those without an end
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # the rest of C0 and C1, without tab and newline
    r"|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # marks that change the direction of text
    r"|[\U000e0000-\U000e007f]"  # invisible tags
)
_UNPAIRED = re.compile(r"[\ud800-\udfff]")
_BREAKS = re.compile(r"[\t\n\u2028\u2029]")


def printable(text: str, *, one_line: bool = False) -> str:
    """Return the text without terminal escapes, control characters and marks of direction.

    Tabs and newlines stay, or become spaces with ``one_line``. A surrogate, which no terminal can encode, becomes
    U+FFFD.
    """
    text = _UNPAIRED.sub("\ufffd", _CONTROL.sub("", text))
    return _BREAKS.sub(" ", text) if one_line else text

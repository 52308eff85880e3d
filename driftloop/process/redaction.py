"""Removes passwords and tokens from text before it is written where others, or a backup, may keep it."""

from __future__ import annotations

import re
import sys
import traceback
from types import TracebackType

HIDDEN = "***"

_IN_ADDRESS = re.compile(r"""(://[^\s:/@"'<>]*):[^\s"'<>]*@""")
"""Password of a URL, up to its last ``@``."""
_NAMED = re.compile(
    r"""(?i)((?:password|passwd|pwd|secret|token|api_?key|access_?key)(?:\s*=\s*["']?|["']\s*:\s*["']))"""
    r"""(?!\*\*\*)[^\s"'&,;)}\]]+"""
)
"""Value after a telling name, in a query, a connection string or JSON."""


def redact(text: str) -> str:
    """Return the text with ``***`` in place of each password in a URL, a query or a connection string."""
    return _NAMED.sub(rf"\1{HIDDEN}", _IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text))


def redact_tracebacks() -> None:
    """Print the traceback of an unhandled error without passwords: a run's standard error is part of its event."""

    def print_redacted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = print_redacted

"""``python -m driftloop.ops.backup.resume_guard``: resumes suspended processes when their suspender exits.

Reads process ids from standard input, one per line. At the end of the input, which also comes when the writer is
killed, sends SIGCONT to each. Ignores signals that end a command.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Read all ids, then resume the processes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for pid in [int(line) for line in sys.stdin]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    main()

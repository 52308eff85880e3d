"""``python -m driftloop.ops.backup.resume_guard``: resumes suspended processes when their suspender exits.

Reads their ids from standard input, a line each. At its end, which also comes when the writer is killed, each is sent
SIGCONT. Signals that end a command do not end this.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Read to the end, then let go."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for pid in [int(line) for line in sys.stdin]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    main()

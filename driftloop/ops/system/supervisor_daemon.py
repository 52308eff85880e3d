"""``python -m driftloop.ops.system.supervisor_daemon CONFIGURATION LOG``: circus in the background, on a Unix socket.

It replaces ``circusd``, which listens on TCP and UDP, reports its own checks as conflicts with its commands, and keeps
reading the closed pipes of a dead process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from circus import logger
from circus.arbiter import Arbiter
from circus.circusd import daemonize
from circus.util import check_future_exception_and_log, configure_logger

from driftloop.ops.system.control_socket import socket_address
from driftloop.process.private_files import keep_files_private

RELEASE_PIPES = f"{__package__}.supervisor_daemon.release_pipes"


class _Arbiter(Arbiter):
    def manage_watchers(self) -> Any:
        """Check the processes, unless a command that changes them runs: the next check follows soon."""
        return None if self._exclusive_running_command else super().manage_watchers()


def release_pipes(watcher: Any, process_pid: int, **_: Any) -> bool:
    """Stop reading the output of a dead process, before circus closes its pipes.

    If its children hold the pipes open, no end of file comes. The event loop would then keep the numbers of the closed
    descriptors, and refuse the next process that gets the same numbers.
    """
    if watcher.stream_redirector:
        watcher.stream_redirector.remove_redirections(watcher.processes[process_pid])
    return True


def main(configuration: str, log: str) -> None:
    """Supervise the parts until a client or a signal ends it."""
    keep_files_private()
    daemonize()
    configure_logger(logger, "info", log)
    arbiter = _Arbiter.load_from_config(configuration)
    arbiter.ctrl.multicast_endpoint = None  # circus would answer UDP from every host; no setting turns it off
    with socket_address(Path(arbiter.endpoint)) as address:
        arbiter.ctrl.endpoint = address
        check_future_exception_and_log(arbiter.start())


if __name__ == "__main__":
    main(*sys.argv[1:])

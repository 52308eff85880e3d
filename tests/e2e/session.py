"""A command as a terminal runs it, in a session whose foreground group gets Ctrl-C, and the processes it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from driftloop.process import tcp_ports
from driftloop.process.settings import ROOT

_RECORD_S = 0.1


@dataclass
class ProcessRecorder:
    """Processes of a folder: their environment names it, or their session has such a process."""

    folder: str
    processes: set[psutil.Process] = field(default_factory=set)
    sessions: set[int] = field(default_factory=set)

    def record(self) -> None:
        """Record the processes that run now, without this process and its session."""
        own = os.getsid(0)
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                session = os.getsid(process.pid)
                belongs = session in self.sessions or any(self.folder in value for value in process.environ().values())
                if belongs and session != own:
                    self.processes.add(process)
                    self.sessions.add(session)

    def still_running(self) -> list[str]:
        """Return the recorded processes that still run, as text."""
        self.record()
        return [line for process in self.processes if (line := _line(process))]


def _line(process: psutil.Process) -> str:
    """Return one line for a process, empty if it has ended."""
    try:
        ended = process.status() == psutil.STATUS_ZOMBIE  # its parent has not reaped it yet
        return "" if ended else f"{process.pid} {process.status()} {' '.join(process.cmdline())[:200]}"
    except psutil.NoSuchProcess:
        return ""


@dataclass(frozen=True)
class Session:
    """A command that runs."""

    process: subprocess.Popen[bytes]
    log: Path

    def interrupt(self) -> None:
        """Send Ctrl-C."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)

    def ended_within(self, timeout_s: float) -> bool:
        """Wait for the end of the command; return whether it ended in time."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout_s)
        return self.process.returncode is not None

    def prints_within(self, word: str, timeout_s: float) -> bool:
        """Wait until the output contains a word; return False if the command ended first or took too long."""
        deadline = time.monotonic() + timeout_s
        while word not in self.output() and time.monotonic() < deadline:
            if self.ended_within(_RECORD_S):
                return False
        return word in self.output()

    def output(self) -> str:
        """Return the output so far."""
        return self.log.read_text(errors="replace")


@contextmanager
def session(environment: Mapping[str, str], log: Path, recorder: ProcessRecorder, *arguments: str) -> Iterator[Session]:
    """Run ``driftloop`` with these arguments and record all processes that it starts; kill it at the end."""
    stop = threading.Event()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "driftloop.ops.cli", *arguments],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    watcher = threading.Thread(target=_record_until, args=(recorder, stop), daemon=True)
    watcher.start()
    try:
        yield Session(process, log)
    finally:
        process.kill()
        process.wait(30.0)
        stop.set()
        watcher.join(30.0)


def _record_until(recorder: ProcessRecorder, stop: threading.Event) -> None:
    while not stop.wait(_RECORD_S):
        recorder.record()


def open_ports(base: int) -> list[int]:
    """Return the open ports of a port base."""
    wanted = {base + offset for offset in tcp_ports.OFFSETS.values()}
    connections = psutil.net_connections("tcp")
    return sorted(
        {
            connection.laddr.port
            for connection in connections
            if connection.laddr and connection.status == psutil.CONN_LISTEN
        }
        & wanted
    )

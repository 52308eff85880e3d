"""Runs circus, which restarts parts that end and stops all parts in one call."""

from __future__ import annotations

import configparser
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from circus.client import CircusClient
from circus.exc import CallError

from driftloop.ops.system.control_socket import make_private, socket_address, socket_folder
from driftloop.ops.system.part import Part
from driftloop.ops.system.supervisor_daemon import RELEASE_PIPES
from driftloop.process.atomic_file import replacing
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.settings import ROOT, Settings
from driftloop.process.tcp_ports import BASE

_ENVIRONMENT = {
    "TZ": "UTC",  # Feast's SQLite store writes local times
    "OMP_NUM_THREADS": "1",  # the parts share few cores, so thread pools only compete
    "MALLOC_ARENA_MAX": "2",
    "PYTHONDONTWRITEBYTECODE": "",  # if it were set, every start would compile our modules again
}

_MARKER = "DRIFTLOOP_SUPERVISED"
"""Variable in the environment of the daemon and its descendants, even after their parent exits. Its value is the home.
"""

_PORT = "KAFKA_PORT"
"""Two systems with the same port of this name have the same ports."""

_MODULE = "driftloop.ops.system.supervisor_daemon"

_HURRY_S = 1.0
_QUIT_AGAIN_S = 2.0
_REFUSED_S = 0.1
_FINAL_S = 2.0
_ORPHANS_S = 15.0
_RESTART_S = 60.0
_KILLED_S = 10.0
"""Longest wait for killed processes to disappear: on a busy machine their parent needs time to reap them."""


@dataclass(frozen=True)
class Running:
    """A part as the supervisor reports it."""

    name: str
    status: str
    """active, stopped or starting"""
    pids: tuple[int, ...]


@dataclass(frozen=True)
class _Daemon:
    """A running daemon of this account."""

    process: psutil.Process
    home: str
    has_our_ports: bool


class Supervisor:
    """One circus daemon, found by its ports, or else by its home."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.home / "run"
        self._logs = settings.home / "logs"
        self._home = str(settings.home.resolve())
        self._port = str(settings.port(_PORT))
        self._environment = {**settings.variables(), **_ENVIRONMENT, _MARKER: self._home}
        self._last_found: _Daemon | None = None

    def alive(self) -> bool:
        """Return whether a daemon with these ports answers."""
        daemon = self._find()
        if daemon is None or not daemon.has_our_ports:
            return False
        try:
            self._call("list", timeout_s=1.0)
        except CallError:
            return False
        return True

    def other_checkout(self) -> Path | None:
        """Return the checkout of the daemon at these ports, if it is another checkout than this one."""
        daemon = self._find()
        try:
            checkout = Path(daemon.process.cwd()) if daemon and daemon.has_our_ports else ROOT
        except psutil.Error:
            return None
        return None if checkout == ROOT else checkout

    def refuse_other_checkout(self) -> None:
        """Refuse to control the system of another checkout.

        Raises:
            ConfigError: another checkout's system uses these ports.
        """
        if checkout := self.other_checkout():
            raise ConfigError(
                f"the system of {checkout} uses these ports; stop it there, or choose other ports with {BASE}"
            )

    def start(self, parts: Sequence[Part], timeout_s: float = 10.0, *, later: Sequence[Part] = ()) -> None:
        """Start the daemon with these parts, under the supervisor's settings; they outlive this process.

        First stops what a killed daemon has left of this home. ``later``: parts that `start_parts` starts.

        Raises:
            DriftloopError: it did not answer in time; says where its log is.
        """
        _terminate(self.processes(), _ORPHANS_S)
        make_private(socket_folder(self._home))
        self._logs.mkdir(parents=True, exist_ok=True)
        path = self._folder / "circus.ini"
        with replacing(path) as partial, partial.open("w") as file:
            self.configuration([*parts, *later], later=later).write(file)
        log = self._logs / "supervisor.log"
        command = [sys.executable, "-m", _MODULE, str(path.absolute()), str(log.absolute())]
        subprocess.run(
            command, check=True, cwd=ROOT, stdin=subprocess.DEVNULL, env={**os.environ, **self._environment},
            start_new_session=True,  # only this process handles Ctrl-C, even before the daemon has left the terminal
        )  # fmt: skip
        deadline = time.monotonic() + timeout_s
        while not self.alive():
            if time.monotonic() > deadline:
                raise DriftloopError(f"the supervisor did not answer within {timeout_s:.0f} s; its log is {log}")
            time.sleep(0.05)

    def stop(self, timeout_s: float = 60.0, *, hurried: Sequence[str] = ()) -> bool:
        """Stop every part, then the daemon, and all their descendants; return False if nothing runs.

        ``hurried`` parts get a second to end instead of their own timeout. Processes that still run after ``timeout_s``
        are killed.
        """
        daemon = self.daemon()
        if daemon is None:
            return _terminate(self.processes(), _ORPHANS_S)
        deadline, family = time.monotonic() + timeout_s, {daemon}
        while daemon.is_running() and time.monotonic() < deadline:
            with suppress(psutil.NoSuchProcess):
                family.update(daemon.children(recursive=True))
            accepted = self._quit(daemon, hurried)
            with suppress(psutil.TimeoutExpired):
                daemon.wait(_QUIT_AGAIN_S if accepted else _REFUSED_S)
        _terminate(family | self.processes(), _FINAL_S)
        return True

    def start_parts(self, parts: Sequence[Part], timeout_s: float = 60.0) -> None:
        """Start parts that the daemon knows and has not started.

        Raises:
            DriftloopError: the daemon did not within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        for part in parts:
            while (answer := self._call("start", name=part.name))["status"] != "ok":  # it refuses while it is busy
                if time.monotonic() > deadline:
                    raise DriftloopError(f"the supervisor does not start {part.name}: {answer.get('reason')}")
                time.sleep(_REFUSED_S)

    def restart(self, names: Sequence[str]) -> None:
        """Restart running parts, one after the other; return when each has a new process."""
        for name in names:
            self._call("restart", _RESTART_S, name=name, waiting=True)

    def processes(self) -> set[psutil.Process]:
        """Return running processes that a daemon of this home has started, including the daemon."""
        processes = set()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARKER) == self._home:
                    processes.add(process)
        return processes

    def _quit(self, daemon: psutil.Process, hurried: Sequence[str]) -> bool:
        """Ask once; return whether it was accepted. A daemon refuses while it starts or checks its parts."""
        with suppress(psutil.NoSuchProcess):
            try:
                for name in hurried:
                    self._call("set", name=name, options={"graceful_timeout": _HURRY_S})
                return bool(self._call("quit", timeout_s=5.0)["status"] == "ok")
            except CallError:  # it does not answer yet, or no longer
                daemon.terminate()
        return True

    def daemon(self) -> psutil.Process | None:
        """Return the daemon's process, even if it does not answer yet."""
        daemon = self._find()
        return daemon.process if daemon else None

    def _find(self) -> _Daemon | None:
        """Return the daemon with these ports, else the one of this home."""
        if self._last_found is None or not is_running(self._last_found.process):
            found = sorted(self._daemons(), key=lambda daemon: (not daemon.has_our_ports, daemon.process.create_time()))
            self._last_found = next(iter(found), None)
        return self._last_found

    def _daemons(self) -> Iterator[_Daemon]:
        """Yield running daemons with these ports or of this home, and children that they are just starting."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if _MODULE not in process.cmdline():
                    continue
                environment = process.environ()
                home, has_our_ports = environment.get(_MARKER), environment.get(_PORT) == self._port
                if home and (has_our_ports or home == self._home):
                    yield _Daemon(process, home, has_our_ports)

    def running(self) -> list[Running]:
        statuses = self._call("status")["statuses"]
        return [Running(name, status, self.pids(name)) for name, status in statuses.items()]

    def pids(self, name: str) -> tuple[int, ...]:
        """Return the processes of a part; empty while it restarts."""
        return tuple(self._call("list", name=name)["pids"])

    def _call(self, command: str, timeout_s: float = 5.0, **properties: Any) -> dict[str, Any]:
        daemon = self._find()
        if daemon is None:
            raise CallError("the supervisor does not run")
        try:
            with socket_address(socket_folder(daemon.home)) as address:
                client = CircusClient(endpoint=address, timeout=timeout_s)
                try:
                    answer: dict[str, Any] = client.send_message(command, **properties)
                    return answer
                finally:
                    client.stop()
        except OSError as error:
            raise CallError(f"the supervisor's socket cannot be used: {error}") from error

    def configuration(self, parts: Sequence[Part], *, later: Sequence[Part] = ()) -> configparser.ConfigParser:
        config = configparser.ConfigParser(interpolation=None)
        config.optionxform = str  # type: ignore[assignment,method-assign]  # names of variables keep their case
        config["circus"] = {
            "endpoint": str(socket_folder(self._home)),
            "pubsub_endpoint": "inproc://events",  # nobody listens
            "check_delay": "0.5",
            "warmup_delay": "0",
        }
        for part in parts:
            config[f"watcher:{part.name}"] = {**self._watcher(part), "autostart": str(part not in later).lower()}
            config[f"env:{part.name}"] = part.environment
        return config

    def _watcher(self, part: Part) -> dict[str, str]:
        log = str(self._logs / f"{part.name}.log")
        stream = {"class": "FileStream", "filename": log}
        rotated = {**stream, "max_bytes": str(64 << 20), "backup_count": "2"}
        return {
            "cmd": shlex.join(part.command),
            "working_dir": str(ROOT),
            "copy_env": "true",
            "graceful_timeout": str(part.stop_timeout_s),
            "max_retry": "-1",
            "hooks.before_reap": RELEASE_PIPES,
            "stop_children": str(part.stop_children).lower(),
            "stop_signal": part.stop_signal,
            **{f"stdout_stream.{key}": value for key, value in stream.items()},
            **{f"stderr_stream.{key}": value for key, value in rotated.items()},
        }


def is_running(process: psutil.Process) -> bool:
    """Return whether a process runs. One that has ended may wait for its parent: its folder cannot be read."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _terminate(processes: set[psutil.Process], timeout_s: float) -> bool:
    """Terminate processes, wait, and kill those that remain; return whether there were any."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(processes, timeout=timeout_s)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_KILLED_S)
    return bool(processes)

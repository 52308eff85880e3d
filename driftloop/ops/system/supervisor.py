"""Circus keeps the parts running: it restarts what dies, and stops all with one call."""

from __future__ import annotations

import configparser
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from circus.client import CircusClient
from circus.exc import CallError

from driftloop.ops.system.parts import Part
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.settings import ROOT, Settings
from driftloop.process.tcp_ports import BASE

_ENVIRONMENT = {
    "TZ": "UTC",  # Feast's SQLite store writes local times
    "OMP_NUM_THREADS": "1",  # the parts share few cores: pools of threads only get in each other's way
    "MALLOC_ARENA_MAX": "2",
    "PYTHONDONTWRITEBYTECODE": "",  # where it is set, every start compiles our modules again
}

_MARK = "DRIFTLOOP_SUPERVISED"
"""In the environment of the daemon and of all that is started below it, also when their parent has exited: the home."""

_HURRIED_S = 1.0
_QUIT_AGAIN_S = 2.0
_LAST_S = 2.0
_ORPHANS_S = 15.0
_KILLED_S = 10.0
"""Until what was killed is gone: on a busy machine its parent takes its time to ask after it."""


@dataclass(frozen=True)
class Running:
    """A part as the supervisor sees it."""

    name: str
    status: str
    """active, stopped or starting"""
    pids: tuple[int, ...]


class Supervisor:
    """One circus daemon, found by its port."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.home / "run"
        self._pid_file = self._folder / "circus.pid"
        self._logs = settings.home / "logs"
        self._endpoint = f"tcp://{settings.local('SUPERVISOR_PORT')}"
        self._events = f"tcp://{settings.local('SUPERVISOR_EVENTS_PORT')}"
        self._home = str(settings.home.resolve())
        self._environment = {**settings.variables(), **_ENVIRONMENT, _MARK: self._home}

    def alive(self) -> bool:
        """Whether the daemon answers."""
        try:
            self._call("list", timeout_s=1.0)
        except CallError:
            return False
        return True

    def stranger(self) -> Path | None:
        """The checkout whose daemon answers at these ports, where that is another one."""
        try:
            found = Path(psutil.Process(self._call("dstats", timeout_s=1.0)["info"]["pid"]).cwd())
        except (CallError, psutil.Error):
            return None
        return None if found == ROOT else found

    def refuse_stranger(self) -> None:
        """Two checkouts side by side must not take each other's system for their own.

        Raises:
            ConfigError: another checkout's system has these ports.
        """
        if found := self.stranger():
            raise ConfigError(f"the system of {found} has these ports; stop it there, or take others by {BASE}")

    def start(self, parts: Sequence[Part], timeout_s: float = 10.0) -> None:
        """Start the daemon with these parts, under the supervisor's settings; they go on when this process ends.

        What a daemon that was killed has left of this home is stopped first.

        Raises:
            DriftloopError: it did not answer in time; says where its log is.
        """
        _see_off(self.left(), _ORPHANS_S)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        path = self._folder / "circus.ini"
        with path.open("w") as file:
            self._configuration(parts).write(file)
        log = self._logs / "supervisor.log"
        command = [str(Path(sys.executable).with_name("circusd")), "--daemon", "--log-output", str(log), str(path)]
        subprocess.run(
            command, check=True, cwd=ROOT, stdin=subprocess.DEVNULL, env={**os.environ, **self._environment},
            start_new_session=True,  # a Ctrl-C is for us to answer, also before the daemon has left the terminal
        )  # fmt: skip
        deadline = time.monotonic() + timeout_s
        while not self.alive():
            if time.monotonic() > deadline:
                raise DriftloopError(f"the supervisor did not answer within {timeout_s:.0f} s; its log is {log}")
            time.sleep(0.05)

    def stop(self, timeout_s: float = 60.0, *, hurried: Sequence[str] = ()) -> bool:
        """Stop every part, then the daemon, and all that they had started; False where nothing runs.

        ``hurried``: parts that get a second to end, and not their own time. What still runs after ``timeout_s`` is
        killed.
        """
        daemon = self.daemon()
        if daemon is None:
            return _see_off(self.left(), _ORPHANS_S)
        deadline, family = time.monotonic() + timeout_s, {daemon}
        while daemon.is_running() and time.monotonic() < deadline:
            with suppress(psutil.NoSuchProcess):
                family.update(daemon.children(recursive=True))
            self._ask_to_quit(daemon, hurried)
            with suppress(psutil.TimeoutExpired):
                daemon.wait(_QUIT_AGAIN_S)
        _see_off(family | self.left(), _LAST_S)
        return True

    def left(self) -> set[psutil.Process]:
        """What was started by a daemon of this home and runs, a daemon itself included."""
        found = set()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == self._home:
                    found.add(process)
        return found

    def _ask_to_quit(self, daemon: psutil.Process, hurried: Sequence[str]) -> None:
        """Once is not always enough: it refuses while it starts its parts, and says so in an answer."""
        with suppress(psutil.NoSuchProcess):
            try:
                for name in hurried:
                    self._call("set", name=name, options={"graceful_timeout": _HURRIED_S})
                self._call("quit", timeout_s=5.0)
            except CallError:  # it does not answer yet, or not any more
                daemon.terminate()

    def daemon(self) -> psutil.Process | None:
        """The daemon's process, whether it answers yet or not."""
        try:
            return psutil.Process(self._call("dstats", timeout_s=1.0)["info"]["pid"])
        except CallError:
            return self._written_down()

    def _written_down(self) -> psutil.Process | None:
        try:
            found = psutil.Process(int(self._pid_file.read_text()))
            return found if any("circusd" in word for word in found.cmdline()) else None
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None

    def running(self) -> list[Running]:
        """Every part."""
        statuses = self._call("status")["statuses"]
        return [Running(name, status, self.pids(name)) for name, status in statuses.items()]

    def pids(self, name: str) -> tuple[int, ...]:
        """Processes of a part; none while it is started again."""
        return tuple(self._call("list", name=name)["pids"])

    def _call(self, command: str, timeout_s: float = 5.0, **properties: Any) -> dict[str, Any]:
        client = CircusClient(endpoint=self._endpoint, timeout=timeout_s)
        try:
            answer: dict[str, Any] = client.send_message(command, **properties)
            return answer
        finally:
            client.stop()

    def _configuration(self, parts: Sequence[Part]) -> configparser.ConfigParser:
        config = configparser.ConfigParser(interpolation=None)
        config.optionxform = str  # type: ignore[assignment,method-assign]  # names of variables keep their case
        config["circus"] = {
            "endpoint": self._endpoint,
            "pubsub_endpoint": self._events,
            "check_delay": "0.5",
            "warmup_delay": "0",
            "pidfile": str(self._pid_file),
        }
        for part in parts:
            config[f"watcher:{part.name}"] = self._watcher(part)
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
            "stop_children": str(part.stop_children).lower(),
            **{f"stdout_stream.{key}": value for key, value in stream.items()},
            **{f"stderr_stream.{key}": value for key, value in rotated.items()},
        }


def _see_off(processes: set[psutil.Process], patience_s: float) -> bool:
    """Ask processes to end, wait for that, and kill what stays; whether there were any."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(processes, timeout=patience_s)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_KILLED_S)
    return bool(processes)

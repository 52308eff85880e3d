"""Looks for what would keep the system from running well on this machine, and says what to do about it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import psutil

from driftloop.bus.dead_letters import SUFFIX
from driftloop.bus.offsets import Offsets
from driftloop.bus.ports import TopicPartition
from driftloop.loop import Loop, load_loops
from driftloop.ops.system.health import ready
from driftloop.ops.system.parts import parts
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import ROOT, Settings
from driftloop.process.startup_errors import read_startup_errors
from driftloop.process.tcp_ports import BASE, free_base, names

LEAST_JAVA = 17
LEAST_FREE_GIB, GOOD_FREE_GIB = 0.5, 5.0
GOOD_MEMORY_GIB = 4.5
_COMPOSE_ONLY = {"GRAFANA_PORT", "POSTGRES_PORT", "REDIS_PORT"}
"""Ports that nothing of the embedded system listens on."""
_INSTALLED = {"venv/bin/python": "Python packages", "kafka/lib": "Kafka", "triton": "Triton"}
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warning", "wrong"]
    what: str
    do: str = ""
    """What to do about it; empty where all is well."""


def examine(settings: Settings) -> Iterator[Finding]:
    """Everything, each as it is found. What runs already is looked at as well."""
    supervisor = Supervisor(settings)
    up = supervisor.alive() and supervisor.stranger() is None
    yield _set_up(ROOT / ".local")
    yield _java()
    yield from _home(settings.home)
    if not up:
        yield _memory()
    yield from _ports(settings, up)
    loops, finding = _loops(settings)
    yield finding
    if up:
        yield from _parts(settings)
        yield _dead_letters(settings.kafka_bootstrap, loops)


def _set_up(local: Path) -> Finding:
    missing = [name for path, name in _INSTALLED.items() if not (local / path).exists()]
    if missing:
        return Finding("set-up", "wrong", f"{', '.join(missing)} not in {local}", "run `make setup`")
    if not (local / "prometheus").exists():
        return Finding("set-up", "warning", f"no Prometheus in {local}: no metrics are kept", "run `make setup`")
    return Finding("set-up", "ok", f"whole, in {local}")


def _java() -> Finding:
    how = f"install Java {LEAST_JAVA} or newer, as `make setup` does by apt"
    try:
        said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False, timeout=20.0).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("Java", "wrong", f"cannot be run: {error}", how)
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < LEAST_JAVA:
        return Finding("Java", "wrong", (said.strip().splitlines() or ["it says no version"])[0], how)
    return Finding("Java", "ok", found[1])


def _home(home: Path) -> Iterator[Finding]:
    there = next(path for path in (home, *home.parents) if path.exists())
    if not os.access(there, os.W_OK):
        yield Finding("home", "wrong", f"{there} cannot be written", "set DRIFTLOOP_HOME to a folder that can")
        return
    free = shutil.disk_usage(there).free / _GIB
    if free >= GOOD_FREE_GIB:
        yield Finding("disk", "ok", f"{free:.1f} GiB free below {home}")
        return
    state: Literal["warning", "wrong"] = "warning" if free >= LEAST_FREE_GIB else "wrong"
    yield Finding("disk", state, f"{free:.1f} GiB free below {home}", "make room, or set DRIFTLOOP_HOME elsewhere")


def _memory() -> Finding:
    free = psutil.virtual_memory().available / _GIB
    if free >= GOOD_MEMORY_GIB:
        return Finding("memory", "ok", f"{free:.1f} GiB free")
    what = f"{free:.1f} GiB free; a training run beside the system may need {GOOD_MEMORY_GIB:g}"
    return Finding("memory", "warning", what, "close something large, or run fewer loops (DRIFTLOOP_LOOPS)")


def _ports(settings: Settings, up: bool) -> Iterator[Finding]:
    """Ports that somebody else listens on; where the system is up, its own processes may."""
    wanted = [name for name in names() if name not in _COMPOSE_ONLY]
    if up:
        yield Finding("ports", "ok", "in use by the running system")
        return
    taken = [name for name in wanted if not _is_free(settings.host, settings.port(name))]
    do = _where_else(settings.host) if taken else ""
    for name in taken:
        number = settings.port(name)
        yield Finding("ports", "wrong", f"{name} {number} is in use by {_owner(number)}", do)
    if not taken:
        yield Finding("ports", "ok", f"{len(wanted)} are free")


def _where_else(host: str) -> str:
    found = free_base(partial(_is_free, host))
    return f"stop it, or move all ports: {BASE}={found or '<base>'} in the environment or in .env"


def _is_free(host: str, number: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, number))
        except OSError:
            return False
    return True


def _owner(number: int) -> str:
    with suppress(psutil.Error):
        for each in psutil.net_connections("tcp"):
            if each.laddr and each.laddr.port == number and each.status == psutil.CONN_LISTEN and each.pid:
                return f"{psutil.Process(each.pid).name()} (pid {each.pid})"
    return "another process"


def _loops(settings: Settings) -> tuple[Sequence[Loop], Finding]:
    try:
        loops = load_loops(settings.loops_dir, settings.loops)
    except LoopDefinitionError as error:
        return [], Finding("loops", "wrong", error.problems[0], "`driftloop check` says all problems")
    if not loops:
        what = f"none in {settings.loops_dir}"
        return [], Finding("loops", "wrong", what, "`driftloop init NAME` makes one; or set DRIFTLOOP_LOOPS_DIR")
    return loops, Finding("loops", "ok", ", ".join(each.name for each in loops))


def _parts(settings: Settings) -> Iterator[Finding]:
    for problem in read_startup_errors(settings.home):
        yield Finding("parts", "wrong", problem, "fix it; the part then restarts by itself")
    waiting = [part.name for part in parts(settings) if not ready(part, settings.kafka_bootstrap)]
    for name in waiting:
        log = settings.home / "logs" / f"{name}.log"
        yield Finding("parts", "wrong", f"{name} is not ready", f"look at the end of {log}")
    if not waiting:
        yield Finding("parts", "ok", "all are ready")


def _dead_letters(bootstrap: str, loops: Sequence[Loop]) -> Finding:
    places = [TopicPartition(f"{name}{SUFFIX}", 0) for loop in loops for name in loop.definition.events]
    offsets = Offsets(bootstrap)
    first, ends = offsets.first(places), offsets.ends(places)
    held = {place.topic: ends[place] - first[place] for place in places if ends[place] > first[place]}
    if not held:
        return Finding("dead letters", "ok", "none")
    what = ", ".join(f"{count:,} in {topic}" for topic, count in held.items())
    return Finding("dead letters", "warning", what, "`driftloop dlq list` says why")


def worst(findings: Sequence[Finding]) -> int:
    """Exit code: 0 where nothing is wrong, warnings aside."""
    return int(any(each.state == "wrong" for each in findings))

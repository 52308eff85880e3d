"""Looks for problems of this machine and advises how to fix them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import psutil

from driftloop.bus.dead_letters import SUFFIX
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.offsets import Offsets
from driftloop.bus.ports import TopicPartition
from driftloop.loop import Loop, load_loops
from driftloop.ops.system.health import ready
from driftloop.ops.system.parts import parts
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import ROOT, Settings
from driftloop.process.startup_errors import read_startup_errors
from driftloop.process.tcp_ports import BASE, CLUSTER_SPAN, free_base, names

MIN_JAVA = 17
MIN_FREE_GIB, GOOD_FREE_GIB = 0.5, 5.0
GOOD_MEMORY_GIB = 4.5
_COMPOSE_ONLY = {"GRAFANA_PORT", "REDIS_PORT"}
_CLUSTER_ONLY = {"CLUSTER_PORT", "POSTGRES_PORT", "OBJECT_STORE_PORT"}
_INSTALLED = {"venv/bin/python": "Python packages", "kafka/lib": "Kafka", "triton": "Triton"}
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    state: Literal["ok", "warning", "wrong"]
    what: str
    do: str = ""
    """How to fix it; empty if all is well."""


def find_problems(settings: Settings) -> Iterator[Finding]:
    """Yield all findings as they are made; if the system runs, also check it."""
    supervisor = Supervisor(settings)
    up = supervisor.alive() and supervisor.other_checkout() is None
    yield check_setup(ROOT / ".local")
    yield check_java()
    yield check_home(settings.home)
    if not up:
        yield check_memory()
    yield from check_ports(settings, up)
    loops, finding = check_loops(settings)
    yield finding
    if up:
        yield from check_parts(settings)
        yield check_dead_letters(KafkaSettings.of(settings), loops)


def check_setup(local: Path) -> Finding:
    """Check that `make setup` has installed everything."""
    missing = [name for path, name in _INSTALLED.items() if not (local / path).exists()]
    if missing:
        return Finding("set-up", "wrong", f"{', '.join(missing)} not in {local}", "run `make setup`")
    if not (local / "prometheus").exists():
        return Finding("set-up", "warning", f"no Prometheus in {local}: no metrics are kept", "run `make setup`")
    return Finding("set-up", "ok", f"complete, in {local}")


def check_java() -> Finding:
    """Check the version of Java."""
    advice = f"install Java {MIN_JAVA} or newer, as `make setup` does by apt"
    try:
        output = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False, timeout=20.0).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("Java", "wrong", f"cannot run java: {error}", advice)
    version = re.search(r'version "(\d+)', output)
    if version is None or int(version[1]) < MIN_JAVA:
        return Finding("Java", "wrong", (output.strip().splitlines() or ["java reports no version"])[0], advice)
    return Finding("Java", "ok", version[1])


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK)


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def check_home(
    home: Path, is_writable: Callable[[Path], bool] = _is_writable, free_bytes: Callable[[Path], int] = _free_bytes
) -> Finding:
    """Check that the home is writable and its disk has space."""
    existing = next(path for path in (home, *home.parents) if path.exists())
    if not is_writable(existing):
        return Finding("home", "wrong", f"{existing} is not writable", "set DRIFTLOOP_HOME to a writable folder")
    free = free_bytes(existing) / _GIB
    what = f"{free:.1f} GiB free for {home}"
    if free >= GOOD_FREE_GIB:
        return Finding("disk", "ok", what)
    advice = "free some space, or set DRIFTLOOP_HOME to another disk"
    return Finding("disk", "warning" if free >= MIN_FREE_GIB else "wrong", what, advice)


def check_memory() -> Finding:
    """Check the free memory."""
    free = psutil.virtual_memory().available / _GIB
    if free >= GOOD_MEMORY_GIB:
        return Finding("memory", "ok", f"{free:.1f} GiB free")
    what = f"{free:.1f} GiB free; a training run and the system may need {GOOD_MEMORY_GIB:g}"
    return Finding("memory", "warning", what, "stop another program, or run fewer loops (DRIFTLOOP_LOOPS)")


def check_ports(settings: Settings, up: bool) -> Iterator[Finding]:
    """Check for ports in use by other programs; if the system runs, its own processes use them."""
    if up:
        yield Finding("ports", "ok", "in use by the running system")
        return
    wanted = _wanted_ports(settings)
    taken = {name: number for name, number in wanted.items() if not _is_free(settings.host, number)}
    do = _port_advice(settings.host) if taken else ""
    for name, number in taken.items():
        yield Finding("ports", "wrong", f"{name} {number} is in use by {_owner(number)}", do)
    if not taken:
        yield Finding("ports", "ok", f"{len(wanted)} are free")


def _wanted_ports(settings: Settings) -> dict[str, int]:
    """Return the ports that the processes on this machine listen on, by name."""
    unused = _COMPOSE_ONLY if settings.cluster_dir else _COMPOSE_ONLY | _CLUSTER_ONLY
    ports = {name: settings.port(name) for name in names() if name not in unused}
    if settings.cluster_dir:
        first = ports["CLUSTER_PORT"]
        ports |= {f"CLUSTER_PORT + {offset}": first + offset for offset in range(1, CLUSTER_SPAN)}
    return ports


def _port_advice(host: str) -> str:
    base = free_base(partial(_is_free, host))
    return f"stop that process, or move all ports: {BASE}={base or '<base>'} in the environment or in .env"


def _is_free(host: str, number: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
        except OSError:
            return False
    return True


def _owner(number: int) -> str:
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if (
                connection.laddr
                and connection.laddr.port == number
                and connection.status == psutil.CONN_LISTEN
                and connection.pid
            ):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another process"


def check_loops(settings: Settings) -> tuple[Sequence[Loop], Finding]:
    """Load the loops; return them and the finding."""
    try:
        loops = load_loops(settings.loops_dir, settings.loops)
    except LoopDefinitionError as error:
        return [], Finding("loops", "wrong", error.problems[0], "`driftloop check` lists all problems")
    if not loops:
        what = f"no loops in {settings.loops_dir}"
        return [], Finding("loops", "wrong", what, "create one with `driftloop init NAME`, or set DRIFTLOOP_LOOPS_DIR")
    return loops, Finding("loops", "ok", ", ".join(loop.name for loop in loops))


def check_parts(settings: Settings) -> Iterator[Finding]:
    """Check that all parts are ready."""
    for problem in read_startup_errors(settings.home):
        yield Finding("parts", "wrong", problem, "fix it; the part then restarts by itself")
    waiting = [part.name for part in parts(settings) if not ready(part, KafkaSettings.of(settings))]
    for name in waiting:
        log = settings.home / "logs" / f"{name}.log"
        yield Finding("parts", "wrong", f"{name} is not ready", f"see the end of {log}")
    if not waiting:
        yield Finding("parts", "ok", "all are ready")


def check_dead_letters(kafka: KafkaSettings, loops: Sequence[Loop]) -> Finding:
    """Check for dead letters of the loops."""
    partitions = [TopicPartition(f"{name}{SUFFIX}", 0) for loop in loops for name in loop.definition.events]
    offsets = Offsets(kafka)
    first, ends = offsets.first(partitions), offsets.ends(partitions)
    counts = {
        partition.topic: ends[partition] - first[partition]
        for partition in partitions
        if ends[partition] > first[partition]
    }
    if not counts:
        return Finding("dead letters", "ok", "none")
    what = ", ".join(f"{count:,} in {topic}" for topic, count in counts.items())
    return Finding("dead letters", "warning", what, "`driftloop dlq list` shows the reasons")


def exit_code(findings: Sequence[Finding]) -> int:
    """Return the exit code: 0 if nothing is wrong; warnings do not count."""
    return int(any(finding.state == "wrong" for finding in findings))

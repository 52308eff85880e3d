"""A system for one test: its own ports and state, driven by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from driftloop.process import tcp_ports
from driftloop.process.settings import ROOT
from tests.helpers.ports import free_port_base

K = TypeVar("K")


@dataclass(frozen=True)
class CommandLine:
    """Runs ``driftloop`` with its own environment."""

    environment: dict[str, str]
    out: Path

    def run(self, *arguments: str, timeout_s: float = 900.0) -> subprocess.CompletedProcess[str]:
        """Run a command and wait for its end."""
        with self.start(*arguments) as process:
            try:
                out, errors = process.communicate(timeout=timeout_s)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, errors)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command; the caller waits for its end."""
        return subprocess.Popen(
            [sys.executable, "-m", "driftloop.ops.cli", *arguments],
            cwd=ROOT, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def report(self) -> dict[str, Any]:
        """Return the report that a demo wrote."""
        report: dict[str, Any] = json.loads((self.out / "report.json").read_text())
        return report


def collect_json(clients: Mapping[K, subprocess.Popen[str]], timeout_s: float) -> dict[K, Any]:
    """Return the JSON output of commands that run at the same time; all must succeed, and none is left running.

    The first that fails is reported: the others may wait for it.
    """
    try:
        with ThreadPoolExecutor(len(clients)) as threads:
            waits = {threads.submit(client.communicate, timeout=timeout_s): name for name, client in clients.items()}
            output = {}
            for done in as_completed(waits):
                name = waits[done]
                try:
                    out, errors = done.result()
                    assert clients[name].returncode == 0, f"{name}: {errors[-2000:]}"
                except BaseException:
                    for client in clients.values():
                        client.kill()
                    raise
                output[name] = json.loads(out)
    finally:
        for client in clients.values():
            client.kill()
            client.communicate()
    return output


@contextmanager
def system(folder: Path, settings: Mapping[str, str]) -> Iterator[CommandLine]:
    """Yield a command line over a folder, with free ports and extra settings; stop the system at the end."""
    environment = {
        **{name: value for name, value in os.environ.items() if name not in tcp_ports.OFFSETS},
        "TZ": "UTC",
        tcp_ports.BASE: str(free_port_base()),
        "DRIFTLOOP_HOME": str(folder / "home"),
        **settings,
    }
    line = CommandLine(environment, folder / "out")
    try:
        yield line
    finally:
        line.run("down", timeout_s=90.0)

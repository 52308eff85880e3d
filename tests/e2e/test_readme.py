"""The README's commands that start and stop a system, on their own system; others run on the shared one."""

from __future__ import annotations

import json

import pytest

from driftloop.process.settings import ROOT
from tests.e2e.command_line import CommandLine
from tests.e2e.session import open_ports
from tests.helpers.markdown import blocks

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1200)]


def test_up_status_and_down_do_what_the_readme_says(driftloop: CommandLine) -> None:
    [block] = [snippet for snippet in blocks(ROOT / "README.md", "sh") if snippet.text.startswith("driftloop up ")]
    commands = {line.split("#")[0].strip() for line in block.text.splitlines()}
    assert commands >= {"driftloop up", "driftloop status", "driftloop down"}
    started = driftloop.run("up")
    assert started.returncode == 0, started.stdout + started.stderr
    assert "`driftloop status` shows its state, `driftloop down` stops it" in started.stdout
    assert driftloop.run("status").returncode == 0
    stopped = driftloop.run("down", "--json")
    assert json.loads(stopped.stdout) == {"stopped": True}
    assert open_ports(int(driftloop.environment["PORT_BASE"])) == []
    assert driftloop.run("status").returncode == 1
    assert json.loads(driftloop.run("down", "--json").stdout) == {"stopped": False}
    assert driftloop.run("down").stdout == "the system was not running\n"

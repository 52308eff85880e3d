"""The launcher that keeps Triton's token off its command line, with a Python program in Triton's place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from driftloop.process.settings import ROOT

LAUNCHER = ROOT / "infra" / "triton" / "hidden_argument.py"
_PROGRAM = "import sys; print(*sys.argv[1:], flush=True); sys.stdin.read(); sys.exit(7)"
_SECRET = "--locked=a,b:key=word with spaces"


def _start(*launcher: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-IS", *launcher, "LOCKED", sys.executable, "-c", _PROGRAM, "--one", "--two"],
        env={**os.environ, "LOCKED": _SECRET}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_the_program_gets_the_argument_and_its_command_line_does_not_show_it() -> None:
    with _start(str(LAUNCHER)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"--one --two {_SECRET}\n"
        program = psutil.Process(process.pid)
        assert program.cmdline()[1:] == ["-c", _PROGRAM, "--one", "--two", "--hidden"]
        assert program.children() == []
        assert process.communicate()[1] == ""
    assert process.returncode == 7


def test_without_permission_to_trace_the_argument_is_passed_with_a_warning(tmp_path: Path) -> None:
    source = LAUNCHER.read_text()
    assert "_SEIZE, _CONT, _DETACH = 0x4206" in source
    (tmp_path / "launcher.py").write_text(source.replace("_CONT, _DETACH = 0x4206", "_CONT, _DETACH = 0x4299"))
    with _start(str(tmp_path / "launcher.py")) as process:
        printed, warning = process.communicate()
    assert printed == f"--one --two {_SECRET}\n"
    assert warning.startswith("warning: this kernel permits no tracing, so LOCKED is on the command line of ")
    assert process.returncode == 7

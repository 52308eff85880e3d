"""After Ctrl-C at any moment no process is left, and a resumed demo ends like an uninterrupted one.

Three moments by default, to stay short. For more::

    INTERRUPTS=20 INTERRUPTS_SEED=7 pytest tests/e2e/test_interrupts.py --log-cli-level=INFO
"""

from __future__ import annotations

import logging
import os
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command_line import CommandLine, system
from tests.e2e.equality import SECTIONS, differences, section
from tests.e2e.running.system import FIRST_WEEKS, demo
from tests.e2e.session import ProcessRecorder, open_ports, session
from tests.e2e.two_loops.harness import FLIGHTS, definitions

MOMENTS = int(os.environ.get("INTERRUPTS", "3"))
SEED = int(os.environ.get("INTERRUPTS_SEED", "0"))
_STOP_S = 120.0
"""Longest wait for an interrupted command."""
_START_S = 300.0
_REPLAYS = "event time"
"""A demo prints this when its replay starts."""
_AGAIN_S = 3.0
"""A second Ctrl-C comes within this time."""

_LOG = logging.getLogger(__name__)
_INTERRUPTED = (130, -signal.SIGINT)
"""Exit codes; the second applies while the command's own modules are being imported."""

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(900 + 150 * MOMENTS)]


@dataclass
class InterruptedDemo:
    """A demo that was interrupted and resumed to its end, and an uninterrupted one."""

    quiet: dict[str, Any]
    report: dict[str, Any]
    codes: list[int]
    """Exit codes of the interrupted commands."""
    started: int = 0
    """Number of processes that were started."""
    left: list[str] = field(default_factory=list)
    """Processes and ports that were left after a command had ended."""


@dataclass(frozen=True)
class Moment:
    """When to interrupt a command: seconds after its start, or after it has printed a word.

    If ``again_s`` is not 0, a second interrupt follows after that time.
    """

    after_s: float
    again_s: float
    word: str = ""


def moments(count: int, seed: int, ready_s: float, total_s: float) -> Iterator[Moment]:
    """Yield a moment in each of ``count`` equal parts of a demo that was ready after ``ready_s`` and done after
    ``total_s``.

    A resumed demo has to start again; from its replay on it takes as long as the uninterrupted demo.
    """
    chance = random.Random(seed)
    reached_s = 0.0
    for number in range(count):
        moment_s = (number + chance.random()) * total_s / count
        again_s = chance.choice((0.0, chance.uniform(0.0, _AGAIN_S)))
        starting = moment_s < ready_s
        yield Moment(moment_s, again_s) if starting else Moment(moment_s - max(reached_s, ready_s), again_s, _REPLAYS)
        reached_s = moment_s


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> InterruptedDemo:
    folder = tmp_path_factory.mktemp("quiet")
    with system(folder, definitions(folder, [FLIGHTS])) as line:
        quiet = demo(line)
    folder = tmp_path_factory.mktemp("interrupted")
    with system(folder, definitions(folder, [FLIGHTS])) as line:
        result = InterruptedDemo(quiet, {}, [])
        times, out = quiet["timings_s"], line.out
        arguments: tuple[str, ...] = FIRST_WEEKS
        for number, moment in enumerate(moments(MOMENTS, SEED, times["ready"], times["total"])):
            code, left = _interrupt(line, folder / f"{number}.log", moment, result, *arguments, "--out", str(out))
            result.left += left
            if code == 0:  # the demo had ended before the interrupt
                break
            result.codes.append(code)
            has_started = Path(line.environment["DRIFTLOOP_HOME"], "demo", "demo.json").exists()
            arguments = ("demo", "--resume") if has_started else FIRST_WEEKS
        ended = line.run(*arguments, "--out", str(out), timeout_s=900.0)
        assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
        result.report = line.report()
    return result


def _interrupt(
    line: CommandLine, log: Path, moment: Moment, result: InterruptedDemo, *arguments: str
) -> tuple[int, list[str]]:
    """Interrupt a command at a moment; return its exit code and the processes and ports that are left."""
    recorder = ProcessRecorder(str(log.parent))
    with session(line.environment, log, recorder, *arguments) as running:
        if running.prints_within(moment.word, _START_S) and not running.ended_within(moment.after_s):
            running.interrupt()
            if moment.again_s and not running.ended_within(moment.again_s):
                running.interrupt()
            assert running.ended_within(_STOP_S), f"{_STOP_S} s after Ctrl-C it still runs:\n{running.output()[-3000:]}"
        code = running.process.returncode
    _LOG.info("%s: %s, exit code %d", " ".join(arguments[:2]), moment, code)
    left = [*recorder.still_running(), *(f"port {port}" for port in open_ports(int(line.environment["PORT_BASE"])))]
    result.started += len(recorder.processes)
    assert code in (0, *_INTERRUPTED), running.output()[-3000:]
    return int(code), [f"{arguments[0]} after {moment}: {entry}" for entry in left]


def test_nothing_runs_or_listens_after_an_interrupt(interrupted: InterruptedDemo) -> None:
    assert interrupted.left == []
    assert interrupted.codes
    assert interrupted.started >= 15  # demo, supervisor, parts, clients
    assert set(interrupted.codes) <= set(_INTERRUPTED)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_resumed_demo_ends_like_an_uninterrupted_one(interrupted: InterruptedDemo, name: str) -> None:
    assert section(interrupted.quiet, name)
    assert list(differences(section(interrupted.report, name), section(interrupted.quiet, name))) == []


def test_every_check_is_equal_after_resuming(interrupted: InterruptedDemo) -> None:
    assert interrupted.report["resumed"]
    assert [check for check in interrupted.report["checks"] if check["unequal"]] == []
    names = [{check["name"] for check in report["checks"]} for report in (interrupted.quiet, interrupted.report)]
    assert names[0] == names[1]


def test_an_interrupted_start_leaves_nothing_and_the_next_one_comes_up(tmp_path: Path) -> None:
    with system(tmp_path, definitions(tmp_path, [FLIGHTS])) as line:
        chance, result = random.Random(SEED), InterruptedDemo({}, {}, [])
        for number in range(MOMENTS):
            moment = Moment(chance.uniform(0.5, 15.0), chance.choice((0.0, 0.5)))
            code, left = _interrupt(line, tmp_path / f"up-{number}.log", moment, result, "up", "--no-check")
            assert bool(left) == (code == 0), left
            if left:  # the system was up before the interrupt
                line.run("down", timeout_s=90.0)
        ended = line.run("up")
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]

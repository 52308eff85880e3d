"""``driftloop demo``."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from driftloop.featurestore import feast_import
from driftloop.loop import Loop, load_loops
from driftloop.ops.cli.interrupts import Interrupts
from driftloop.ops.cli.output import Console, echo_json
from driftloop.ops.cli.types import DAY, DURATION, LATE_BY, LATE_SHARE, examples
from driftloop.ops.demo.checkpoint import DemoCheckpoint, read_checkpoint
from driftloop.ops.demo.fault_plan import plan_kills
from driftloop.ops.demo.plan import Plan, read_plan
from driftloop.ops.demo.run import Demo, Measurements, Screen
from driftloop.process.errors import ConfigError
from driftloop.process.settings import ROOT, Settings
from driftloop.readmodel.event_text import day

if TYPE_CHECKING:
    from driftloop.ops.demo.finish import Result


class _Terminal(Screen):
    """Lines above a progress bar; if the output is not a terminal, one line per month of event time."""

    def __init__(self, plan: Plan, *, on_stderr: bool) -> None:
        self._console = Console(highlight=False, soft_wrap=True, stderr=on_stderr)
        self._plan = plan
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[speed]}", markup=False),
        )
        self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console)
        self._task = self._bar.add_task("", total=plan.end_ms - plan.start_ms, speed="")
        self._printed_month = ""

    def __enter__(self) -> _Terminal:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def part_ready(self, name: str, seconds: float) -> None:
        self._console.print(f"  {name:<12} ready after {seconds:5.1f} s")

    def progress(self, watermark_ms: int, steps_per_s: float) -> None:
        speed = f"{1000 / steps_per_s:.0f} ms a step" if steps_per_s > 0 else ""
        now = day(watermark_ms)
        self._bar.update(self._task, completed=watermark_ms - self._plan.start_ms, description=now, speed=speed)
        if not self._console.is_terminal and now[:7] != self._printed_month:
            self._printed_month = now[:7]
            self._console.print(f"{now}  event time; {speed}")

    def line(self, text: str) -> None:
        self._console.print(text)


def _check_plan_name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]*", value):
        raise click.BadParameter(f"invalid plan name {value!r}: use lowercase letters, digits and hyphens")
    return value


_EXAMPLES = (
    "driftloop demo",
    "driftloop demo --plan demo-year",
    "driftloop demo --kill 6 --seed 3",
    "driftloop demo --resume",
    "driftloop demo --json | jq .problems",
)


@click.command(epilog=examples(*_EXAMPLES))
@click.option(
    "--plan", "plan_name", default="demo", show_default=True, callback=_check_plan_name, metavar="NAME",
    help="Days to replay: loops/<loop>/NAME.yaml. State goes to var/NAME, the report to out/NAME.",
)  # fmt: skip
@click.option("--loop", "name", default="", help="Loop; default: the only one.")
@click.option("--start", type=DAY, help="First day, in place of the plan's.")
@click.option("--end", type=DAY, help="End, not included, in place of the plan's.")
@click.option("--step", type=DURATION, help="Event time of a step, in place of the plan's.")
@click.option("--permute-labels", type=int, help="Permute outcomes by day with this seed.")
@LATE_SHARE
@LATE_BY
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the report, in place of out/NAME.")
@click.option(
    "--kill", "kills", type=click.IntRange(min=0), is_flag=False, flag_value=3, default=0, metavar="[N]",
    help="Kill ingestion, features and registry in turn while they work, N times; default: 3.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed for the times and order of --kill.")
@click.option("--keep", is_flag=True, help="Keep the system running at the end.")
@click.option("--resume", is_flag=True, help="Continue the interrupted demo, with its state and arguments.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; progress goes to standard error.")
@click.pass_context
def demo(
    context: click.Context, plan_name: str, name: str, start: datetime | None, end: datetime | None,
    step: timedelta | None, permute_labels: int | None, late_share: float, late_by: timedelta, out: Path | None,
    kills: int, seed: int, keep: bool, resume: bool, as_json: bool,
) -> None:  # fmt: skip
    """Replay a loop's past through the whole system and write a report to out/demo.

    Starts from empty state in var/demo. Ctrl-C stops the demo and everything it started; --resume continues it. Exit
    code 0: all checks are equal and every alarm was resolved, if the plan had enough days for that.
    """
    interrupts = Interrupts()
    settings, out = Settings(home=Settings().home / plan_name), out or ROOT / "out" / plan_name
    if resume:
        _refuse_options_of_resumed(context)
        checkpoint = read_checkpoint(settings.home)
        loop = _loop(settings, checkpoint.loop)
    else:
        loop = _loop(settings, name)
        plan = read_plan(loop.folder, plan_name)
        plan = plan.with_span(start.date() if start else None, end.date() if end else None, step)
        replay_arguments = ["--late-share", f"{late_share}", "--late-by", f"{late_by.total_seconds():g}s"]
        replay_arguments += [] if permute_labels is None else ["--permute-labels", f"{permute_labels}"]
        checkpoint = DemoCheckpoint(
            loop=loop.name, plan=plan, replayed=tuple(replay_arguments), permuted=permute_labels is not None
        )
    kill_plan = plan_kills(kills, seed, checkpoint.plan, loop.definition)
    settings = settings.model_copy(update={"loops": (loop.name,)})
    with _Terminal(checkpoint.plan, on_stderr=as_json) as screen:
        demo_run = Demo(settings, loop, checkpoint, out, screen, kills=kill_plan, resume=resume)
        demo_run.refuse_if_running()
        problems = _run(
            demo_run,
            interrupts,
            lambda measured: _finish(settings, loop, checkpoint, out, measured, screen),
            screen,
            keep,
        )
    if as_json:
        echo_json({"passed": not problems, "problems": problems, "report": str(out / "report.json")})
    raise click.exceptions.Exit(1 if problems else 0)


def _run(
    demo_run: Demo, interrupts: Interrupts, finish: Callable[[Measurements], list[str]], screen: Screen, keep: bool
) -> list[str]:
    """Start, replay and check; return the problems.

    Always stop what was started, unless it is to be kept.
    """
    try:
        try:
            demo_run.start_system(supervised=interrupts.allow_interrupt)
            interrupts.defer_signals()
            measured = demo_run.replay(interrupts.stop)
            interrupts.allow_interrupt()
            screen.line(f"replayed in {measured.replay_s:.0f} s")
            return finish(measured)
        finally:
            interrupts.defer_signals()
    except KeyboardInterrupt:
        screen.line("interrupted: stopping; --resume continues from here")
        keep = False
        raise
    finally:
        if not keep:
            demo_run.stop_system()


def _finish(
    settings: Settings, loop: Loop, checkpoint: DemoCheckpoint, out: Path, measured: Measurements, screen: Screen
) -> list[str]:
    feast_import.load()
    from driftloop.ops.demo.finish import finish  # imports models: slow, and not needed before

    return _end(finish(settings, loop, checkpoint, out, measured, say=screen.line), screen, out)


_FIXED_AT_START = ("name", "start", "end", "step", "permute_labels", "late_share", "late_by", "kills", "seed")


def _refuse_options_of_resumed(context: click.Context) -> None:
    for parameter in context.command.get_params(context):
        given = context.get_parameter_source(parameter.name or "") is not ParameterSource.DEFAULT
        if given and parameter.name in _FIXED_AT_START:
            raise click.UsageError(f"{parameter.opts[0]} is stored with the interrupted demo; leave it out.", context)


def _end(result: Result, screen: Screen, out: Path) -> list[str]:
    from driftloop.ops.demo.finish import headline

    for check in result.report["checks"]:
        mark = "unequal" if check["unequal"] else "equal  "
        screen.line(f"  {mark}  {check['compared']:>9,}  {check['name']}")
    screen.line(f"{headline(result.report)}; report in {out / 'report.html'}")
    for problem in result.problems:
        screen.line(f"PROBLEM {problem}")
    return list(result.problems)


def _loop(settings: Settings, name: str) -> Loop:
    loops = load_loops(settings.loops_dir, [name] if name else [])
    if len(loops) != 1:
        raise ConfigError(f"{settings.loops_dir} has {len(loops)} loops; name one with --loop")
    return loops[0]

"""``driftloop replay`` and ``driftloop call``: the two clients of a replay."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import click

from driftloop.loop import load_loops, to_ms
from driftloop.ops.cli.interrupts import Interrupts
from driftloop.ops.cli.output import echo_json
from driftloop.ops.cli.types import DAY, DURATION, LATE_BY, LATE_SHARE, examples
from driftloop.ops.replay.session import CallSession, Lateness, ReplaySession, Span
from driftloop.process.settings import Settings


def _span(start: datetime, end: datetime, step: timedelta) -> Span:
    if end <= start:
        raise click.BadParameter(f"the end {end:%Y-%m-%d} must be after the start {start:%Y-%m-%d}")
    return Span(round(start.timestamp() * 1000), round(end.timestamp() * 1000), to_ms(step))


@click.command(epilog=examples("driftloop replay orders --start 2013-01-01 --end 2013-02-01 --wire json"))
@click.argument("loop")
@click.option("--start", type=DAY, required=True, help="Start of event time, UTC.")
@click.option("--end", type=DAY, required=True, help="End of event time, UTC, not included.")
@click.option("--step", type=DURATION, default="60m", show_default=True, help="Event time of one step.")
@click.option("--wire", type=click.Choice(["protobuf", "json"]), default="protobuf", show_default=True)
@click.option("--caller/--no-caller", default=True, show_default=True, help="Wait for `driftloop call` at each step.")
@click.option("--ignore-decider", multiple=True, help="Do not wait for this decider (detectors, evaluation, training).")
@click.option(
    "--permute-labels",
    type=int,
    help="Permute outcomes by day with this seed: the null case, in which no drift exists.",
)
@LATE_SHARE
@LATE_BY
@click.option("--late-seed", default=0, show_default=True, help="Seed that chooses the late events.")
@click.option("--timeout", default=900.0, show_default=True, help="Longest wait for one step, in seconds.")
@click.option("--resume", is_flag=True, help="Continue an interrupted replay of the same span and step.")
@click.option("--again", is_flag=True, help="Send events of a time that the loop has already reached.")
@click.option("--report", type=click.Path(path_type=Path), help="Write step durations to this JSON file.")
def replay(
    loop: str, start: datetime, end: datetime, step: timedelta, wire: str, caller: bool,
    ignore_decider: tuple[str, ...], permute_labels: int | None, late_share: float, late_by: timedelta, late_seed: int,
    timeout: float, resume: bool, again: bool, report: Path | None,
) -> None:  # fmt: skip
    """Send the past of LOOP to Kafka, in steps of event time.

    Ctrl-C ends it after the current step, with exit code 130; --resume continues.
    """
    settings = Settings()
    [definition] = load_loops(settings.loops_dir, [loop])
    session = ReplaySession(
        settings, definition, _span(start, end, step), wire=wire, with_caller=caller,  # type: ignore[arg-type]
        ignored=ignore_decider, permute_seed=permute_labels,
        late=Lateness(late_share, to_ms(late_by), late_seed), timeout_s=timeout, resume=resume, again=again,
    )  # fmt: skip
    interrupts = Interrupts()
    result = session.run(interrupts.stop)
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(result))
    echo_json({key: value for key, value in result.items() if key != "durations_ms"})
    interrupts.exit_if_stopped()


@click.command(epilog=examples("driftloop call orders --start 2013-01-01 --end 2013-02-01"))
@click.argument("loop")
@click.option("--start", type=DAY, required=True, help="First decision time, UTC.")
@click.option("--end", type=DAY, required=True, help="End of decision times, UTC, not included.")
@click.option("--step", type=DURATION, default="60m", show_default=True, help="The replay's step.")
@click.option("--ignore-decider", multiple=True, help="Do not wait for this decider (detectors, evaluation, training).")
@click.option("--timeout", default=900.0, show_default=True, help="Longest wait for one step, in seconds.")
@click.option("--resume", is_flag=True, help="Continue an interrupted replay of the same span and step.")
def call(
    loop: str, start: datetime, end: datetime, step: timedelta, ignore_decider: tuple[str, ...], timeout: float,
    resume: bool,
) -> None:  # fmt: skip
    """Request the predictions of LOOP from Triton, in step with a replay. Waits for the loop's first champion.

    Ctrl-C ends it after the current step, with exit code 130; --resume continues.
    """
    settings = Settings()
    [definition] = load_loops(settings.loops_dir, [loop])
    span = _span(start, end, step)
    session = CallSession(settings, definition, span, ignored=ignore_decider, timeout_s=timeout, resume=resume)
    interrupts = Interrupts()
    echo_json(session.run(interrupts.stop))
    interrupts.exit_if_stopped()

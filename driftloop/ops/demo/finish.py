"""What a demo leaves behind: checks, report.json and report.html."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftloop.events.envelope import parse_rfc3339
from driftloop.events.event_log import read_events
from driftloop.loop import Loop, LoopDefinition, to_ms
from driftloop.ops.checks.run import run as run_checks
from driftloop.ops.demo.checkpoint import DemoCheckpoint
from driftloop.ops.demo.plan import Plan
from driftloop.ops.demo.report_data import build
from driftloop.ops.demo.run import Outcome
from driftloop.ops.kpis.format import span
from driftloop.process.settings import ROOT, Settings
from driftloop.readmodel.event_text import day


@dataclass(frozen=True)
class Result:
    """How it ended."""

    report: dict[str, Any]
    problems: list[str]
    """Why it did not pass; empty where it did."""


def finish(
    settings: Settings,
    loop: Loop,
    checkpoint: DemoCheckpoint,
    out: Path,
    outcome: Outcome,
    *,
    say: Callable[[str], None],
) -> Result:
    """Check, and write the report to ``out``."""
    from driftloop.ops.demo.page import render  # the plots' library: not before there is something to plot

    say("checking what was said against the raw topics and tables")
    findings = run_checks(
        settings, loop, to_ms(checkpoint.plan.step), since_ms=outcome.began_wall_ms, say=lambda each: say(f"  {each}")
    )
    events = read_events(settings.kafka_bootstrap)
    outcome.total_s = time.monotonic() - outcome.began_s
    steps, calls = (json.loads(_last_line(out / "clients" / f"{name}.out")) for name in ("replay", "call"))
    report = build(loop.name, events, findings, outcome, steps, calls, _setup_s())
    too_late = opened_too_late(report, loop.definition, checkpoint.plan)
    for name in too_late:
        say(f"alarm chain {name} is still being judged: the days end before it can come to its end")
    problems = _problems(report, checkpoint.permuted, too_late)
    problems += [
        f"{each.service} had no work to be killed in from {day(each.watermark_ms)} on" for each in outcome.kills_missed
    ]
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=1))
    page = render(loop.name, report, events, headline(report), _summary(report, checkpoint.plan))
    (out / "report.html").write_text(page)
    return Result(report, problems)


def headline(report: dict[str, Any]) -> str:
    """The story in half a line."""
    if report["chain"]:
        return "a drift alarm led to a promotion"
    alarms = report["alarms"]["trigger"]
    raised = {0: "and no alarm was raised", 1: "though one alarm was raised"}
    return f"no drift promotion happened, {raised.get(alarms, f'though {alarms} alarms were raised')}"


def _summary(report: dict[str, Any], plan: Plan) -> str:
    served, timings = report["predictions"]["served"], report["timings_s"]
    unequal = sum(check["unequal"] for check in report["checks"])
    return (
        f"{plan.start} to {plan.end} in steps of {span(plan.step.total_seconds())}: {served:,} predictions served, "
        f"{report['predictions']['failed']} failed; {len(report['checks'])} checks, {unequal} values unequal; "
        f"{timings['total']:.0f} s in all, {timings['step_ms_p50'] or 0:.0f} ms a step."
    )


def opened_too_late(report: dict[str, Any], loop: LoopDefinition, plan: Plan) -> list[str]:
    """Chains of alarms that have not ended and could not: the days end before all stages may have had their blocks."""
    blocks = sum(step.max_blocks for step in loop.rollout.steps) + 1
    last_ms = plan.end_ms - blocks * to_ms(loop.monitoring.block) - to_ms(loop.label.horizon)
    opened_ms = {chain[0]["correlationid"]: parse_rfc3339(chain[0]["event_time"]) for chain in report["chains"]}
    return [name for name in report["unended_alarms"] if opened_ms[name] > last_ms]


def _problems(report: dict[str, Any], permuted: bool, too_late: Sequence[str]) -> list[str]:
    found = [
        f"{c['name']}: {c['unequal']} of {c['compared']} unequal. {c['detail']}"
        for c in report["checks"]
        if c["unequal"]
    ]
    found += [f"alarm chain {name} has not ended" for name in report["unended_alarms"] if name not in too_late]
    if report["predictions"]["failed"]:
        found.append(f"{report['predictions']['failed']} predictions failed")
    if not report["predictions"]["served"]:
        found.append("no prediction was served")
    if permuted and report["chain"]:
        found.append("labels were permuted, and still an alarm led to a promotion")
    return found


def _last_line(path: Path) -> str:
    return path.read_text().strip().splitlines()[-1]


def _setup_s() -> float:
    path = ROOT / ".local" / "setup_s"
    return float(path.read_text()) if path.exists() else 0.0

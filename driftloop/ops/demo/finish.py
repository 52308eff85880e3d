"""The results of a demo: checks, report.json and report.html."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.events.envelope import parse_rfc3339
from driftloop.events.event_log import read_events
from driftloop.loop import Loop, LoopDefinition, to_ms
from driftloop.ops.checks.run import run as run_checks
from driftloop.ops.demo.checkpoint import DemoCheckpoint
from driftloop.ops.demo.page import render
from driftloop.ops.demo.plan import Plan
from driftloop.ops.demo.report_data import build
from driftloop.ops.demo.run import Measurements
from driftloop.ops.kpis.format import span
from driftloop.process.settings import ROOT, Settings
from driftloop.readmodel.event_text import day
from driftloop.readmodel.loop_history import LoopHistory


@dataclass(frozen=True)
class Result:
    """The result of a demo."""

    report: dict[str, Any]
    problems: list[str]
    """Reasons for a failure; empty if it passed."""


def finish(
    settings: Settings,
    loop: Loop,
    checkpoint: DemoCheckpoint,
    out: Path,
    measured: Measurements,
    *,
    say: Callable[[str], None],
) -> Result:
    """Run the checks, and write the report to ``out``."""
    say("checking the results against the raw topics and tables")
    findings = run_checks(
        settings, loop, to_ms(checkpoint.plan.step), since_ms=measured.began_wall_ms, say=lambda line: say(f"  {line}")
    )
    history = LoopHistory(loop.name, read_events(KafkaSettings.of(settings)))
    measured.total_s = time.monotonic() - measured.began_s
    steps, calls = (json.loads(_last_line(out / "clients" / f"{name}.out")) for name in ("replay", "call"))
    report = build(history, findings, measured, steps, calls, _setup_s())
    too_late = opened_too_late(report, loop.definition, checkpoint.plan)
    for name in too_late:
        say(f"alarm chain {name} is unresolved: the days end before it can be resolved")
    problems = _find_problems(report, checkpoint.permuted, too_late)
    problems += [
        f"{kill.service} had no input to be killed at from {day(kill.watermark_ms)} on"
        for kill in measured.kills_missed
    ]
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=1))
    page = render(report, history, headline(report), _summary(report, checkpoint.plan))
    (out / "report.html").write_text(page)
    return Result(report, problems)


def headline(report: dict[str, Any]) -> str:
    """Summarize the report in half a line."""
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
        f"{timings['total']:.0f} s in total, {timings['step_ms_p50'] or 0:.0f} ms a step."
    )


def opened_too_late(report: dict[str, Any], loop: LoopDefinition, plan: Plan) -> list[str]:
    """Return alarm chains that have not ended because the days end before all stages could be judged."""
    blocks = sum(step.max_blocks for step in loop.rollout.steps) + 1
    last_ms = plan.end_ms - blocks * to_ms(loop.monitoring.block) - to_ms(loop.label.horizon)
    opened_ms = {chain[0]["correlationid"]: parse_rfc3339(chain[0]["event_time"]) for chain in report["chains"]}
    return [name for name in report["unended_alarms"] if opened_ms[name] > last_ms]


def _find_problems(report: dict[str, Any], permuted: bool, too_late: Sequence[str]) -> list[str]:
    problems = [
        f"{check['name']}: {check['unequal']} of {check['compared']} unequal. {check['detail']}"
        for check in report["checks"]
        if check["unequal"]
    ]
    problems += [f"alarm chain {name} is unresolved" for name in report["unended_alarms"] if name not in too_late]
    if report["predictions"]["failed"]:
        problems.append(f"{report['predictions']['failed']} predictions failed")
    if not report["predictions"]["served"]:
        problems.append("no prediction was served")
    if permuted and report["chain"]:
        problems.append("labels were permuted, and still an alarm led to a promotion")
    return problems


def _last_line(path: Path) -> str:
    return path.read_text().strip().splitlines()[-1]


def _setup_s() -> float:
    path = ROOT / ".local" / "setup_s"
    return float(path.read_text()) if path.exists() else 0.0

"""With outcomes permuted by day there is nothing to find: an alarm may be raised by chance, and nothing comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.command_line import CommandLine

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(930)]

SEED, END = "3", "2013-03-20"
"""A permutation that does raise an alarm, and a day by which its candidate has been judged."""


@pytest.fixture(scope="module")
def told(driftloop: CommandLine) -> str:
    """What a demo with permuted outcomes tells; it ends well."""
    permuted = ("--permute-labels", SEED)
    ended = driftloop.run("demo", "--step", "6h", "--end", END, *permuted, "--out", str(driftloop.out))
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    return ended.stdout


@pytest.fixture(scope="module")
def report(driftloop: CommandLine, told: str) -> dict[str, Any]:
    return driftloop.report()


def test_no_drift_promotion_happens_and_the_demo_says_so(told: str, report: dict[str, Any]) -> None:
    assert report["chain"] == []
    assert "no drift promotion happened; one alarm was raised" in told


def test_the_candidate_of_the_alarm_is_refused(report: dict[str, Any]) -> None:
    alarmed = [chain for chain in report["chains"] if chain[0]["type"].endswith(".DriftDetected")]
    assert [chain[-1]["type"].rsplit(".", 1)[-1] for chain in alarmed] == ["ReleaseRejected"]
    assert report["unended_alarms"] == []

"""With outcomes permuted by day there is nothing to detect, and nothing is promoted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.command_line import CommandLine

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(930)]

SEED, END = "1", "2013-03-05"
"""A permutation whose first model passes its gate, and a day when the next candidate has a verdict."""


@pytest.fixture(scope="module")
def output(driftloop: CommandLine) -> str:
    """Return the output of a demo with permuted outcomes; it must succeed."""
    permuted = ("--permute-labels", SEED)
    ended = driftloop.run("demo", "--step", "6h", "--end", END, *permuted, "--out", str(driftloop.out))
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    return ended.stdout


@pytest.fixture(scope="module")
def report(driftloop: CommandLine, output: str) -> dict[str, Any]:
    return driftloop.report()


def test_no_drift_promotion_happens_and_the_demo_says_so(output: str, report: dict[str, Any]) -> None:
    assert report["chain"] == []
    assert "no drift promotion happened" in output


def test_outcomes_are_still_joined_to_the_predictions_of_a_champion(report: dict[str, Any]) -> None:
    assert report["outcomes"]["joined"] > 20_000


def test_a_candidate_trained_on_noise_is_rejected(report: dict[str, Any]) -> None:
    ends = [release["stages"][-1]["stage"] for release in report["releases"]]
    assert ends == ["champion", "rejected"]

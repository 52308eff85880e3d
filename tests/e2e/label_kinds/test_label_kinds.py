"""From `init` to a corrected outcome, for every kind of label: four new loops in one system."""

from __future__ import annotations

import numpy as np
import pytest

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.loop.scaffold import CLASSES
from driftloop.model.losses import losses
from driftloop.ops.checks.model import Check
from tests.e2e.label_kinds.harness import CASE, CORRECTED, DAY_MS, HOUR_MS, LOOPS, NEXT_DAY_MS, OUTCOMES, ReplayResult

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1800)]

FIRST = [
    training.RetrainRequested,
    training.RunStarted,
    training.CandidateTrained,
    evaluation.VerdictReached,
    registry.ReleaseCreated,
    registry.StageEntered,
    registry.RouteChanged,
    registry.ChampionPromoted,
    serving.RouteConverged,
]
"""Events in the chain of a first champion."""
each_loop = pytest.mark.parametrize("loop", LOOPS.values())


def test_check_reports_no_problem_in_new_loops(result: ReplayResult) -> None:
    assert sorted(result.checked) == sorted(LOOPS.values())
    assert [value["problems"] for value in result.checked.values()] == [[]] * len(LOOPS)


@each_loop
def test_the_first_champion_is_promoted_by_the_usual_events(result: ReplayResult, loop: str) -> None:
    [promoted] = result.of(loop, registry.ChampionPromoted)
    assert (promoted.data.previous_release_id, promoted.time_ms) == ("", DAY_MS)
    chain = [event for event in result.of(loop) if event.correlation_id == promoted.correlation_id]
    assert {type(event.data) for event in chain} >= set(FIRST)
    [request] = [event.data for event in chain if isinstance(event.data, training.RetrainRequested)]
    assert [reason.kind for reason in request.reasons] == ["first-champion"]
    [verdict] = [event.data for event in chain if isinstance(event.data, evaluation.VerdictReached)]
    assert (verdict.stage, verdict.outcome) == ("offline", evaluation.BETTER)
    assert verdict.interval.lower > 0, "the candidate must be better than the base rate"


@each_loop
def test_a_plain_call_is_answered_by_the_first_champion_and_logged(result: ReplayResult, loop: str) -> None:
    answer, logged = result.answers[loop], result.predictions[loop]
    [promoted] = result.of(loop, registry.ChampionPromoted)
    assert answer.release == promoted.data.release_id
    assert answer.prediction.startswith(f"{loop}-by-hand.")
    [index] = (logged.id == answer.prediction).nonzero()[0]
    assert (logged.key[index], logged.release[index]) == (CASE, answer.release)
    assert logged.decision_time_ms[index] == DAY_MS + HOUR_MS
    classes = logged.scores[index][answer.release][1:]
    assert answer.score.tolist() == (classes or [logged.score[index]])


def test_a_multiclass_answer_has_a_probability_per_class(result: ReplayResult) -> None:
    score = result.answers[LOOPS["multiclass"]].score
    assert score.shape == (len(CLASSES),)
    assert score.min() > 0
    assert score.sum() == pytest.approx(1.0, abs=1e-9)
    assert "log loss over the classes" in result.card


@each_loop
def test_outcomes_are_joined_as_windows_close(result: ReplayResult, loop: str) -> None:
    windows = {event.data.start_ms: event.data for event in result.of(loop, monitoring.WindowClosed)}
    window, answered = windows[DAY_MS], result.answers[loop].release
    assert window.joins.joined > 50
    [champion] = [row for row in window.releases if row.role == "champion"]
    assert (champion.release_id, champion.count) == (answered, window.joins.joined)
    decided = result.of(loop, monitoring.WindowDecided)
    deciders = {event.data.decider for event in decided if event.data.window_id == window.window_id}
    assert deciders == {"detectors", "evaluation", "training"}


@each_loop
def test_every_check_is_equal(result: ReplayResult, loop: str) -> None:
    checks: list[Check] = list(result.checks[loop].checks)
    assert [check for check in checks if check.unequal] == []
    assert sum(check.compared for check in checks) > 5_000


def test_a_corrected_outcome_restates_its_window(result: ReplayResult) -> None:
    [restated] = result.of(CORRECTED, monitoring.WindowRestated)
    closed = {event.data.window_id: event.data for event in result.of(CORRECTED, monitoring.WindowClosed)}
    window = closed[restated.data.window_id]
    assert (window.start_ms, restated.data.start_ms, restated.data.corrections) == (DAY_MS, DAY_MS, 1)
    assert closed[restated.data.known_by_window_id].start_ms == NEXT_DAY_MS
    assert list(restated.data.before) == list(window.releases)
    [before], [after] = ([row for row in rows if row.count] for rows in (restated.data.before, restated.data.after))
    assert (after.release_id, after.count, after.score_sum) == (before.release_id, before.count, before.score_sum)
    assert after.outcome_sum - before.outcome_sum == 4
    outcomes = np.array([OUTCOMES["count"], OUTCOMES["count"] + 4.0])
    old_loss, new_loss = losses("count", result.answers[CORRECTED].score.repeat(2), outcomes)
    assert after.loss_sum - before.loss_sum == pytest.approx(new_loss - old_loss)
    assert "RESTATED the window of 2026-01-15 00:00: 1 outcome corrected" in result.timeline


def test_a_correction_changes_no_earlier_decision(result: ReplayResult) -> None:
    now = {event.id: event for event in result.of(CORRECTED)}
    assert len(result.before) > 30
    assert [now[event.id] for event in result.before] == list(result.before)
    known = {event.id for event in result.before}
    later = {type(event.data) for name, event in now.items() if name not in known}
    assert {monitoring.WindowClosed, monitoring.WindowRestated} <= later
    assert later & set(FIRST) == set(), "a correction repeats no decision"

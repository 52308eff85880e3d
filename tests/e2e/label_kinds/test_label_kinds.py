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
from tests.e2e.label_kinds.harness import CASE, CORRECTED, DAY_MS, HOUR_MS, LOOPS, NEXT_DAY_MS, OUTCOMES, LoopEvents

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


def test_check_finds_nothing_wrong_with_new_loops(season: LoopEvents) -> None:
    assert sorted(season.checked) == sorted(LOOPS.values())
    assert [each["problems"] for each in season.checked.values()] == [[]] * len(LOOPS)


@each_loop
def test_the_first_champion_is_promoted_by_the_usual_events(season: LoopEvents, loop: str) -> None:
    [promoted] = season.of(loop, registry.ChampionPromoted)
    assert (promoted.data.previous_release_id, promoted.time_ms) == ("", DAY_MS)
    chain = [event for event in season.of(loop) if event.correlation_id == promoted.correlation_id]
    assert {type(event.data) for event in chain} >= set(FIRST)
    [asked] = [event.data for event in chain if isinstance(event.data, training.RetrainRequested)]
    assert [reason.kind for reason in asked.reasons] == ["first-champion"]
    [verdict] = [event.data for event in chain if isinstance(event.data, evaluation.VerdictReached)]
    assert (verdict.stage, verdict.outcome) == ("offline", evaluation.BETTER)
    assert verdict.interval.lower > 0, "it has learned something of what its past holds"


@each_loop
def test_a_plain_call_is_answered_by_the_first_champion_and_logged(season: LoopEvents, loop: str) -> None:
    answer, logged = season.answers[loop], season.predictions[loop]
    [promoted] = season.of(loop, registry.ChampionPromoted)
    assert answer.release == promoted.data.release_id
    assert answer.prediction == f"{loop}-by-hand"
    [place] = (logged.id == answer.prediction).nonzero()[0]
    assert (logged.key[place], logged.release[place]) == (CASE, answer.release)
    assert logged.decision_time_ms[place] == DAY_MS + HOUR_MS
    classes = logged.scores[place][answer.release][1:]
    assert answer.score.tolist() == (classes or [logged.score[place]])


def test_the_answer_of_classes_is_a_probability_of_each(season: LoopEvents) -> None:
    score = season.answers[LOOPS["multiclass"]].score
    assert score.shape == (len(CLASSES),)
    assert score.min() > 0
    assert score.sum() == pytest.approx(1.0, abs=1e-9)
    assert "log loss over the classes" in season.card


@each_loop
def test_outcomes_are_joined_as_windows_close(season: LoopEvents, loop: str) -> None:
    windows = {event.data.start_ms: event.data for event in season.of(loop, monitoring.WindowClosed)}
    asked, answered = windows[DAY_MS], season.answers[loop].release
    assert asked.joins.joined > 50
    [champion] = [row for row in asked.releases if row.role == "champion"]
    assert (champion.release_id, champion.count) == (answered, asked.joins.joined)
    looked = season.of(loop, monitoring.WindowDecided)
    deciders = {event.data.decider for event in looked if event.data.window_id == asked.window_id}
    assert deciders == {"detectors", "evaluation", "training"}


@each_loop
def test_every_check_is_equal(season: LoopEvents, loop: str) -> None:
    checks: list[Check] = list(season.checks[loop].checks)
    assert [each for each in checks if each.unequal] == []
    assert sum(each.compared for each in checks) > 5_000


def test_a_corrected_outcome_restates_its_window(season: LoopEvents) -> None:
    [restated] = season.of(CORRECTED, monitoring.WindowRestated)
    closed = {event.data.window_id: event.data for event in season.of(CORRECTED, monitoring.WindowClosed)}
    about = closed[restated.data.window_id]
    assert (about.start_ms, restated.data.start_ms, restated.data.corrections) == (DAY_MS, DAY_MS, 1)
    assert closed[restated.data.known_by_window_id].start_ms == NEXT_DAY_MS
    assert list(restated.data.before) == list(about.releases)
    [before], [after] = ([row for row in rows if row.count] for rows in (restated.data.before, restated.data.after))
    assert (after.release_id, after.count, after.score_sum) == (before.release_id, before.count, before.score_sum)
    assert after.outcome_sum - before.outcome_sum == 4
    outcomes = np.array([OUTCOMES["count"], OUTCOMES["count"] + 4.0])
    was, now = losses("count", season.answers[CORRECTED].score.repeat(2), outcomes)
    assert after.loss_sum - before.loss_sum == pytest.approx(now - was)
    assert "RESTATED the window of 2026-01-15 00:00: 1 outcome corrected" in season.timeline


def test_decisions_keep_the_evidence_that_they_had(season: LoopEvents) -> None:
    now = {event.id: event for event in season.of(CORRECTED)}
    assert len(season.before) > 30
    assert [now[event.id] for event in season.before] == list(season.before)
    known = {each.id for each in season.before}
    later = {type(event.data) for name, event in now.items() if name not in known}
    assert {monitoring.WindowClosed, monitoring.WindowRestated} <= later
    assert later & set(FIRST) == set(), "nothing is decided again"

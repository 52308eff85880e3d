from __future__ import annotations

from datetime import timedelta

import pytest

from driftloop.loop import load_loop
from driftloop.loop.effects import effects_of, span_text
from driftloop.process.settings import ROOT

ORDERS = load_loop(ROOT / "tests" / "loops" / "orders").definition


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(days=14), "14d"),
        (timedelta(hours=36), "36h"),
        (timedelta(hours=48), "2d"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=61), "61s"),
        (timedelta(milliseconds=250), "250ms"),
        (timedelta(0), "0s"),
    ],
)
def test_a_span_is_told_in_the_largest_unit_that_fits(span: timedelta, text: str) -> None:
    assert span_text(span) == text


def test_a_definition_tells_what_will_happen() -> None:
    told = [(each.kind, each.name, each.what) for each in effects_of(ORDERS)]
    assert told[0] == (
        "topic",
        "orders.placed",
        "2 partitions of orders.v1.Placed; what it refuses goes to orders.placed.dlq",
    )
    assert ("run", "drift", "when returns raises an alarm, on the last 8d") in told
    assert (
        "detector",
        "returns",
        "mean of score less outcome by block, against zero, over the last 10 blocks of 12h; "
        "above 4 it asks for a retrain",
    ) in told
    assert told[-3:] == [
        ("stage", "1. shadow", "answers nobody for 2d to 6d"),
        ("stage", "2. canary", "answers 20% of keys for 36h to 4d"),
        ("stage", "3. champion", "answers all keys"),
    ]


def test_what_a_loop_does_not_have_is_not_told() -> None:
    training = ORDERS.training.model_copy(update={"schedule": None})
    monitoring = ORDERS.monitoring.model_copy(update={"detectors": {}})
    told = list(effects_of(ORDERS.model_copy(update={"training": training, "monitoring": monitoring})))
    assert [each.name for each in told if each.kind == "run"] == ["first champion"]
    assert [each for each in told if each.kind == "detector"] == []


def test_a_step_that_waits_for_a_person_says_so() -> None:
    first = ORDERS.rollout.steps[0].model_copy(update={"approval": True})
    rollout = ORDERS.rollout.model_copy(update={"steps": (first, *ORDERS.rollout.steps[1:])})
    [shadow, *_] = [each for each in effects_of(ORDERS.model_copy(update={"rollout": rollout})) if each.kind == "stage"]
    assert shadow.what == "answers nobody for 2d to 6d; then a person approves"


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (("few", "many"), "2 probabilities: of few, many"),
        (tuple("abcdefgh"), "8 probabilities: of a, b, c, d, e, f, 2 more"),
    ],
)
def test_a_loop_of_classes_says_what_its_score_holds(classes: tuple[str, ...], told: str) -> None:
    label = ORDERS.label.model_copy(update={"kind": "multiclass", "classes": classes})
    effects = list(effects_of(ORDERS.model_copy(update={"label": label})))
    [model] = [each.what for each in effects if each.kind == "model"]
    assert model.endswith(f"; its score holds {told}")
    [residual] = [each.what for each in effects if each.name == "returns"]
    assert residual.startswith("mean probability of the likeliest class less accuracy by block, against zero")


def test_without_a_trainer_no_run_is_told_and_an_alarm_is_only_shown() -> None:
    training = ORDERS.training.model_copy(update={"trainer": None, "schedule": None})
    told = list(effects_of(ORDERS.model_copy(update={"training": training})))
    assert [each.name for each in told if each.kind == "run"] == ["none"]
    assert all(each.what.endswith("it is shown") for each in told if each.kind == "detector")

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
def test_duration_uses_the_largest_whole_unit(span: timedelta, text: str) -> None:
    assert span_text(span) == text


def test_effects_cover_topics_runs_detectors_and_stages() -> None:
    effects = [(effect.kind, effect.name, effect.what) for effect in effects_of(ORDERS)]
    assert effects[0] == (
        "topic",
        "orders.placed",
        "2 partitions of orders.v1.Placed; dead letters go to orders.placed.dlq",
    )
    assert ("run", "drift", "when returns raises an alarm, on the last 8d") in effects
    assert (
        "detector",
        "returns",
        "mean of score - outcome per block, against zero, over the last 10 blocks of 12h; "
        "above 4 the alarm requests a retrain",
    ) in effects
    assert effects[-3:] == [
        ("stage", "1. shadow", "answers no requests for 2d to 6d"),
        ("stage", "2. canary", "answers 20% of keys for 36h to 4d"),
        ("stage", "3. champion", "answers all keys"),
    ]


def test_absent_schedule_and_detectors_have_no_effects() -> None:
    training = ORDERS.training.model_copy(update={"schedule": None})
    monitoring = ORDERS.monitoring.model_copy(update={"detectors": {}})
    effects = list(effects_of(ORDERS.model_copy(update={"training": training, "monitoring": monitoring})))
    assert [effect.name for effect in effects if effect.kind == "run"] == ["first champion"]
    assert [effect for effect in effects if effect.kind == "detector"] == []


def test_step_with_approval_mentions_it() -> None:
    first = ORDERS.rollout.steps[0].model_copy(update={"approval": True})
    rollout = ORDERS.rollout.model_copy(update={"steps": (first, *ORDERS.rollout.steps[1:])})
    [shadow, *_] = [
        effect for effect in effects_of(ORDERS.model_copy(update={"rollout": rollout})) if effect.kind == "stage"
    ]
    assert shadow.what == "answers no requests for 2d to 6d; then a user must approve"


@pytest.mark.parametrize(
    ("classes", "listed"),
    [
        (("few", "many"), "2 probabilities: few, many"),
        (tuple("abcdefgh"), "8 probabilities: a, b, c, d, e, f, 2 more"),
    ],
)
def test_multiclass_effects_list_the_classes(classes: tuple[str, ...], listed: str) -> None:
    label = ORDERS.label.model_copy(update={"kind": "multiclass", "classes": classes})
    effects = list(effects_of(ORDERS.model_copy(update={"label": label})))
    [model] = [effect.what for effect in effects if effect.kind == "model"]
    assert model.endswith(f"; its score has {listed}")
    [residual] = [effect.what for effect in effects if effect.name == "returns"]
    assert residual.startswith("mean probability of the most likely class - accuracy per block, against zero")


def test_without_trainer_no_run_is_listed_and_alarms_are_only_shown() -> None:
    training = ORDERS.training.model_copy(update={"trainer": None, "schedule": None})
    effects = list(effects_of(ORDERS.model_copy(update={"training": training})))
    assert [effect.name for effect in effects if effect.kind == "run"] == ["none"]
    assert all(effect.what.endswith("the alarm is only shown") for effect in effects if effect.kind == "detector")

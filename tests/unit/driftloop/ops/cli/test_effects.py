from __future__ import annotations

from typing import Any

import pytest

from driftloop.contracts import control_api_pb2 as api
from driftloop.ops.cli.effects import CommandWatch


def event(kind: str, name: str = "e", cause: str = "", **payload: Any) -> api.Event:
    event_ = api.Event(id=name, type=f"driftloop.registry.v1.{kind}", causation_id=cause)
    event_.payload.update(payload)
    return event_


ENTERED = event("StageEntered", cause="cmd", epoch="5", champion_release_id="r-1")


def after(command: str, *events: api.Event) -> CommandWatch:
    watch = CommandWatch(command, "cmd")
    for event_ in events:
        watch.process(event_)
    return watch


def test_a_rollback_is_done_when_the_router_answers_by_its_epoch() -> None:
    older = event("RouteConverged", epoch="4", champion_release_id="r-2")
    assert not after("rollback", ENTERED, older).effect.done
    done = after("rollback", ENTERED, older, event("RouteConverged", epoch="5", champion_release_id="r-1")).effect
    assert done.done
    assert done.text == "route 5 answers, champion r-1"


def test_an_earlier_route_is_ignored() -> None:
    assert not after("approve", event("RouteConverged", epoch="9", champion_release_id="r-1")).effect.done


def test_a_stage_with_another_cause_is_ignored() -> None:
    other = event("StageEntered", cause="verdict", epoch="5", champion_release_id="r-1")
    assert not after("reject", other, event("RouteConverged", epoch="5")).effect.done


def test_a_rollback_without_a_champion_is_done_at_once() -> None:
    assert after("rollback", event("StageEntered", cause="cmd", epoch="2")).effect.done


def test_a_route_that_failed_ends_the_wait() -> None:
    assert after("approve", ENTERED, event("RouteFailed", epoch="5")).effect.text == "the route failed"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (event("RetrainRequested", reasons=[{"event_id": "cmd"}]), "training is requested"),
        (
            event("ReasonCoalesced", reason={"event_id": "cmd"}, because="paused"),
            "kept, until somebody resumes the loop",
        ),
    ],
)
def test_a_retrain_is_done_when_the_controller_has_answered(answer: api.Event, words: str) -> None:
    assert after("retrain", answer).effect.text == words
    other = event("RetrainRequested", reasons=[{"event_id": "alarm"}])
    assert not after("retrain", other).effect.done


def in_chain(kind: str, **payload: Any) -> api.Event:
    effect = event(kind, **payload)
    effect.correlation_id, effect.loop = "cmd", "orders"
    return effect


@pytest.mark.parametrize(
    ("answer", "words", "refused"),
    [
        (in_chain("RouteConverged", champion_release_id="r-1"), "r-1 answers as the loop's champion", False),
        (
            in_chain("RouteConverged", champion_release_id="r-1", challenger_release_id="r-2"),
            "r-2 is compared with the champion r-1, on the same requests", False,
        ),
        (in_chain("RunFailed", reason="error", detail="no probabilities"), "refused: no probabilities", True),
        (in_chain("ReleaseRejected", reason="gain over the base rate -0.2"), "refused: gain over the base", True),
        (in_chain("ReasonCoalesced", because="release-open"), "kept, until the open release is", False),
    ],
)  # fmt: skip
def test_an_import_is_done_when_its_model_answers_or_is_refused(answer: api.Event, words: str, refused: bool) -> None:
    under_way = [event("Import", "cmd"), in_chain("RetrainRequested"), in_chain("CandidateTrained")]
    assert not after("import", *under_way, event("RouteConverged", champion_release_id="r-0")).effect.done
    effect = after("import", *under_way, answer).effect
    assert (effect.done, effect.ignored) == (True, refused)
    assert words in effect.text


def test_a_retrain_of_a_loop_without_a_trainer_changes_nothing() -> None:
    answer = event("ReasonCoalesced", reason={"event_id": "cmd"}, because="no-trainer")
    answer.loop = "orders"
    effect = after("retrain", answer).effect
    assert effect.ignored
    assert "driftloop import orders --onnx FILE" in effect.text


@pytest.mark.parametrize(("command", "words"), [("pause", "paused"), ("resume", "resumed")])
def test_pause_and_resume_are_done_when_on_record(command: str, words: str) -> None:
    assert after(command, event("Pause", "cmd")).effect.text == words


@pytest.mark.parametrize("command", ["approve", "reject", "rollback", "pause", "resume"])
def test_an_ignored_command_is_done(command: str) -> None:
    assert not after(command, event("CommandIgnored", command_id="another", reason="no")).effect.done
    effect = after(command, event("CommandIgnored", command_id="cmd", reason="r-1 is not open")).effect
    assert effect.done
    assert effect.ignored
    assert effect.text == "nothing changed: r-1 is not open"

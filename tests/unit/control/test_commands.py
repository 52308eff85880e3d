from __future__ import annotations

from dataclasses import replace

import pytest

from driftloop.contracts import control_pb2 as messages
from driftloop.readmodel.loops import LoopState, Waiting
from services.control.domain.commands import NAMES, Command, Impossible, Missing, draft

STATE = LoopState(
    "orders", champion="r-1", release="r-2", stage="canary", time_ms=86_400_000,
    waiting=Waiting("r-2", "champion", 9, "e"), chains={"r-1": "chain-1", "r-2": "chain-2"}, former=["r-0"],
)  # fmt: skip

MODEL = messages.ImportedModel(uri=f"imports/{'0' * 64}.onnx", sha256="0" * 64, source="model.onnx")


def command(name: str, release: str = "r-2", *, request: str = "one") -> Command:
    model = MODEL if name == "import" else None
    return Command(name, "orders", "anna", "because", request, release if name in ("approve", "reject") else "", model)


@pytest.mark.parametrize("name", [each for each in NAMES if each != "resume"])
def test_a_command_becomes_an_event_at_the_newest_event_time(name: str) -> None:
    made = draft(command(name), STATE)
    assert made.data.DESCRIPTOR.name == name.capitalize()
    assert (made.data.who, made.data.why, made.loop) == ("anna", "because", "orders")  # type: ignore[attr-defined]
    assert made.time_ms == 86_400_000


@pytest.mark.parametrize(
    ("name", "chain"),
    [("approve", "chain-2"), ("reject", "chain-2"), ("rollback", "chain-2"), ("retrain", None), ("pause", None)],
)
def test_a_command_is_in_the_chain_of_its_release(name: str, chain: str | None) -> None:
    assert draft(command(name), STATE).chain == chain


def test_a_rollback_without_an_open_release_is_about_the_champion() -> None:
    closed = replace(STATE, release="", stage="", waiting=None)
    assert draft(command("rollback"), closed).chain == "chain-1"


def test_each_request_id_has_its_event_id() -> None:
    ids = [draft(command("rollback", request=each), STATE).id for each in ("one", "one", "two")]
    assert ids[0] == ids[1] != ids[2]
    assert draft(command("rollback"), STATE).id != draft(command("pause"), STATE).id


@pytest.mark.parametrize("field", ["who", "why"])
@pytest.mark.parametrize("text", ["", "   ", "x" * 2001])
@pytest.mark.parametrize("name", NAMES)
def test_who_and_why_are_required(name: str, field: str, text: str) -> None:
    with pytest.raises(Missing, match=field):
        draft(_with(command(name), field, text), replace(STATE, paused=name == "resume"))


def _with(asked: Command, field: str, text: str) -> Command:
    return replace(asked, who=text) if field == "who" else replace(asked, why=text)


def test_an_import_requires_a_stored_model() -> None:
    made = draft(command("import"), STATE)
    assert made.data.model == MODEL  # type: ignore[attr-defined]
    for uri in ("", "model.onnx", "imports/../secret.onnx"):
        with pytest.raises(Missing, match="the model is missing"):
            draft(replace(command("import"), model=messages.ImportedModel(uri=uri, sha256="0" * 64)), STATE)
    with pytest.raises(Missing, match="the model is missing"):
        draft(replace(command("import"), model=None), STATE)


@pytest.mark.parametrize("name", ["approve", "reject"])
def test_a_release_is_required(name: str) -> None:
    with pytest.raises(Missing, match="name the release"):
        draft(replace(command(name), release_id=""), STATE)


@pytest.mark.parametrize(
    ("asked", "state", "why"),
    [
        (command("approve", "r-9"), STATE, "r-2 does"),
        (command("approve"), replace(STATE, waiting=None), "no release of the loop does"),
        (command("reject", "r-1"), STATE, "r-2 is, in canary"),
        (command("reject"), replace(STATE, release="", stage=""), "no release of the loop is"),
        (command("rollback"), replace(STATE, release="", former=[]), "no champion before r-1"),
        (command("rollback"), LoopState("orders"), "no champion yet"),
        (command("retrain"), LoopState("orders"), "nothing to train on"),
        (command("import"), LoopState("orders"), "judged by the loop's own events"),
        (command("pause"), replace(STATE, paused=True), "paused already"),
        (command("resume"), STATE, "not paused"),
    ],
)
def test_impossible_commands_are_refused_with_the_reason(asked: Command, state: LoopState, why: str) -> None:
    with pytest.raises(Impossible, match=why):
        draft(asked, state)


def test_who_and_why_are_stripped() -> None:
    made = draft(replace(command("pause"), who=" anna ", why=" why "), STATE)
    assert made.data == messages.Pause(loop="orders", who="anna", why="why")

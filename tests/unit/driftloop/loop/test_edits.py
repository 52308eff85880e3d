"""An edit of a loop that cannot work is reported with its file and line: one edit of a valid loop each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from driftloop.loop import load_loop
from driftloop.loop.compile import compile_protos
from driftloop.loop.findings import Findings, findings_of
from driftloop.loop.load import DESCRIPTORS
from driftloop.ops.loop_check import merge
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import Settings
from services.ingestion.check import inspect as inspect_events
from services.training.check import inspect as inspect_training
from tests.helpers.editing import ORDERS, copied_orders, replace_once, reported_line

DEFINITION = {
    "decision time on a string": ("{column: promised_ms}", "{column: shop}", "column is string|orders.placed.shop is"),
    "decision time on a double": ("{column: promised_ms}", "{column: basket_cents}", "basket_cents is double"),
    "decision time misspelt": ("{column: promised_ms}", "{column: promised}", "no column 'promised'"),
    "detector of losses on an input": (
        "returns: {kind: block_residual,",
        'returns: {kind: block_residual, "on": lines,',
        "returns.on: block_residual judges losses",
    ),
    "event time misspelt": (
        "key: shop\n    time: at_ms",
        "key: shop\n    time: at",
        "time names 'at'",
    ),
    "event time on a string": ("key: shop\n    time: at_ms", "key: shop\n    time: uid", "must be int64"),
    "event id misspelt": ("id: uid\n    key: shop", "id: uidd\n    key: shop", "id names 'uidd'"),
    "event id on a double": ("id: uid\n    key: shop", "id: shelf_units\n    key: shop", "shelf_units is double"),
    "event key on a double": ("key: shop\n    time", "key: shelf_units\n    time", "shelf_units is double"),
    "message misspelt": ("message: orders.v1.Shelved", "message: orders.v1.Shelv", "no message orders.v1.Shelv"),
    "prediction key on a double": (
        "key: order_ref\n  from: orders.placed",
        "key: basket_cents\n  from: orders.placed",
        "basket_cents is double",
    ),
    "prediction key misspelt": (
        "key: order_ref\n  from: orders.placed",
        "key: order_reff\n  from: orders.placed",
        "no column 'order_reff'",
    ),
    "prediction event misspelt": ("  from: orders.placed", "  from: orders.placd", "'orders.placd' is not declared"),
    "label event misspelt": ("  from: orders.inspected", "  from: orders.inspect", "'orders.inspect' is not declared"),
    "label key misspelt": ("key: order_ref\n  value", "key: order_reff\n  value", "'order_reff'"),
    "label value misspelt": ("value: returned", "value: returnd", "'returnd'"),
    "label value on a string": ("value: returned", "value: shop", "'shop' is string"),
    "label kind that needs classes": ("kind: count", "kind: multiclass", "needs the key `classes`"),
    "double for a string column": ("channel: {type: string}", "channel: {type: double}", "channel is string"),
    "int64 for a string column": ("channel: {type: string}", "channel: {type: int64}", "channel is string"),
    "int64 for a double column": ("basket_cents: {type: double}", "basket_cents: {type: int64}", "is double"),
    "string for a double column": ("basket_cents: {type: double}", "basket_cents: {type: string}", "is double"),
    "join key as a number": ("{type: string, column: shop,", "{type: double, column: shop,", "a join key is a string"),
    "input misspelt": ("basket_cents: {type: double}", "basket: {type: double}", "no column 'basket'"),
    "input's column misspelt": ("column: shop, model", "column: shopp, model", "no column 'shopp'"),
    "input's type misspelt": ("lines: {type: int64}", "lines: {type: int}", "lines.type"),
    "input named like the key": ("lines: {type: int64}", "order_ref: {type: string}", "is prediction.key"),
    "input named score": ("lines: {type: int64}", "score: {type: int64, column: lines}", "name is reserved"),
    "input named label": ("lines: {type: int64}", "label: {type: int64, column: lines}", "name is reserved"),
    "input named like the decision time": (
        "lines: {type: int64}",
        "decision_time_ms: {type: int64, column: lines}",
        "name is reserved",
    ),
    "join key of an unknown input": ("{input: store}", "{input: stor}", "'stor' is not declared"),
    "join key without a value": ("market: {const: all}", 'market: {const: ""}', "give a value"),
    "slice of an unknown input": ("{input: channel, max", "{input: chanel, max", "'chanel' is not declared"),
    "feed of an unknown column": ("- [market]", "- [markt]", "'markt'"),
    "feed by a double": (
        "shelf_units: {min: 0}\n    feeds:\n      - [shop]",
        "shelf_units: {min: 0}\n    feeds:\n      - [shelf_units]",
        "'shelf_units' is double",
    ),
    "feed listed twice": ("- [market]\n      - [shop]", "- [shop]\n      - [shop]", r"lists \[shop\] 2 times"),
    "feed without a key": ("- [market]", "- []", "list of different join keys"),
    "feed with a key twice": ("- [market]", "- [market, market]", "list of different join keys"),
    "derived column of an unknown one": ("CAST(returned AS DOUBLE)", "CAST(returnd AS DOUBLE)", "returnd"),
    "derived column with a field's name": ("items_back:", "shop:", "a column of `derive`"),
    "rule of an unknown field": ("channel: {enum", "chanel: {enum", "no field 'chanel'"),
    "rule of another type": ("{min: 1, max: 500}", "{max_length: 3}", "max_length does not fit"),
    "bounds in the wrong order": ("{min: 1, max: 500}", "{min: 500, max: 1}", "min 500 is above max 1"),
    "bound that is no number": ("{min: 1, max: 500}", "{min: .nan}", "not a number"),
    "enum without values": ("{enum: [web, phone, counter]}", "{enum: []}", "lists no value"),
    "enum longer than its rule": ("{enum: [web, phone, counter]}", "{enum: [web, counter], max_length: 3}", "longer"),
    "validation as long as a window": ("drift: 8d", "drift: 2d", r"window.drift: 2d is not above training.validation"),
    "first window shorter than validation": ("{first_champion: 10d", "{first_champion: 36h", "window.first_champion"),
    "schedule's window shorter": ("schedule: 10d", "schedule: 1d", "window.schedule"),
    "command's window shorter": ("command: 10d", "command: 1d", "window.command"),
    "validation longer than all": ("validation: 2d", "validation: 20d", "window.command"),
    "first champion before its validation": (
        "first_champion_after: 10d",
        "first_champion_after: 1d",
        "is not below first_champion_after",
    ),
    "lateness above the limit": ("lateness: 10m", "lateness: 4d", "not below max_advance"),
    "limit below lateness": ("max_advance: 3d", "max_advance: 10m", "not below max_advance"),
    "negative horizon": ("horizon: 60h", "horizon: -60h", "must be above zero"),
    "blocks in the wrong order": ("min_blocks: 4, max_blocks: 12", "min_blocks: 12, max_blocks: 4", "max_blocks must"),
    "threshold without end": ("threshold: 4.0", "threshold: .inf", "inf is not a finite number"),
    "margin that is no number": ("min_blocks: 4, max", "margin: .nan, min_blocks: 4, max", "not a finite number"),
    "parameter that is no number": ("{ridge: 1.0", "{ridge: .nan", "not a finite number"),
    "trainer's module misspelt": ("trainer: model:Trainer", "trainer: modell:Trainer", "does not exist"),
    "trainer's class misspelt": ("trainer: model:Trainer", "trainer: model:Trainr", "no class 'Trainr'"),
    "event named like a dead-letter topic": (
        "\n  shops.shelved:\n",
        "\n  orders.placed.dlq:\n",
        "the dead-letter topic of 'orders.placed'",
    ),
    "event named like another for Kafka": ("\n  shops.shelved:\n", "\n  orders_placed:\n", "differ only in"),
}  # fmt: skip
"""Edits of ``loop.yaml``: old text, new text, and what the report says."""

MODEL = {
    "fit without seed": ("parameters: Parameters, seed: int)", "parameters: Parameters)", "seed"),
    "fit without validation": ("validation: TrainingSet, *,", "*,", "too many positional"),
    "undefined name in fit": ("logs = np.log1p(", "logs = npp.log1p(", "the name 'npp' is not defined"),
    "undefined name in predict": ("z = design(data", "z = desing(data", "the name 'desing' is not defined"),
    "undefined name in a helper": ("penalty[-1] = 1e-6", "penalty[-1] = TINY", "the name 'TINY' is not defined"),
    "syntax error": ("class Trainer:", "class Trainer", "SyntaxError"),
    "missing module": ("import numpy as np", "import numpyy as np", "No module named 'numpyy'"),
}
"""Edits of ``model.py``."""

PROTO = {
    "decision time as a string": ("int64 promised_ms = 8;", "string promised_ms = 8;", "promised_ms is string"),
    "label as a string": ("int64 returned = 5;", "string returned = 5;", "rules|'returned' is string|returned"),
    "input as a string": ("optional double basket_cents", "optional string basket_cents", "basket_cents is string"),
    "input renamed": ("basket_cents = 7", "basket = 7", "no column 'basket_cents'"),
    "key as a double": (
        "string order_ref = 3;\n  string shop = 4;\n  int64 ret",
        "double order_ref = 3;\n  string shop = 4;\n  int64 ret",
        "order_ref",
    ),
    "time as a double": ("int64 at_ms = 2;\n  string shop", "double at_ms = 2;\n  string shop", "must be int64"),
}  # fmt: skip
"""Edits of the messages, compiled again."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a copy of a valid loop; its modules are imported again."""
    with copied_orders(tmp_path) as copy:
        yield copy


def check(folder: Path, *others: Path) -> Findings:
    try:
        loop = load_loop(folder)
    except LoopDefinitionError as error:
        return Findings(tuple(error.problems))
    settings = Settings(loops_dir=folder.parent)
    answers = [findings_of(inspect, loop, settings) for inspect in (inspect_events, inspect_training)]
    return merge(loop, [load_loop(other) for other in others], answers)


def assert_reported(findings: Findings, path: Path, says: str) -> None:
    assert findings.effects == ()
    assert reported_line(findings.problems, path, says).strip()


def test_valid_loop_has_no_problem(folder: Path) -> None:
    assert check(folder).problems == ()


@pytest.mark.parametrize(("old", "new", "says"), DEFINITION.values(), ids=DEFINITION)
def test_edit_of_the_definition_is_reported(folder: Path, old: str, new: str, says: str) -> None:
    replace_once(folder / "loop.yaml", old, new)
    assert_reported(check(folder), folder / "loop.yaml", says)


@pytest.mark.parametrize(("old", "new", "says"), MODEL.values(), ids=MODEL)
def test_edit_of_the_model_is_reported(folder: Path, old: str, new: str, says: str) -> None:
    replace_once(folder / "model.py", old, new)
    assert_reported(check(folder), folder / "model.py", says)


@pytest.mark.parametrize(("old", "new", "says"), PROTO.values(), ids=PROTO)
def test_edit_of_the_messages_is_reported(folder: Path, tmp_path: Path, old: str, new: str, says: str) -> None:
    edited = tmp_path / "edited"
    shutil.copytree(ORDERS / "protos", edited / "protos")
    replace_once(edited / "protos" / "orders" / "v1" / "orders.proto", old, new)
    (folder / DESCRIPTORS).write_bytes(compile_protos(edited))
    assert_reported(check(folder), folder / "loop.yaml", says)


def test_damaged_descriptors_are_reported(folder: Path) -> None:
    (folder / DESCRIPTORS).write_bytes(b"\xff\xff\xff")
    [problem] = {problem for problem in check(folder).problems if DESCRIPTORS in problem}
    assert problem.startswith(f"{folder / DESCRIPTORS}:1: not a descriptor set")
    assert "driftloop.loop.compile" in problem


def _another_message(text: str) -> str:
    return text.replace("message: orders.v1.Shelved", "message: orders.v1.Placed")


def _other_partitions(text: str) -> str:
    return text.replace("message: orders.v1.Shelved", "message: orders.v1.Shelved\n    partitions: 5")


def _other_name(text: str) -> str:
    return text.replace("shops.shelved:", "shops_shelved:")


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_another_message, "reads the same topic as"),
        (_other_partitions, "declares 5 for the same topic"),
        (_other_name, "Kafka refuses it beside 'shops_shelved' of other"),
    ],
)
def test_a_topic_that_another_loop_declares_differently_is_reported(
    folder: Path, edit: Callable[[str], str], says: str
) -> None:
    other = folder.parent / "other"
    shutil.copytree(folder, other)
    path = other / "loop.yaml"
    path.write_text(edit(path.read_text().replace("loop: orders", "loop: other")))
    assert_reported(check(folder, other), folder / "loop.yaml", says)


def test_loops_may_share_a_topic(folder: Path) -> None:
    other = folder.parent / "other"
    shutil.copytree(folder, other)
    path = other / "loop.yaml"
    path.write_text(path.read_text().replace("loop: orders", "loop: other"))
    assert check(folder, other).problems == ()


def test_a_loop_without_a_trainer_has_no_spans_of_training(folder: Path) -> None:
    replace_once(folder / "loop.yaml", "trainer: model:Trainer", "trainer: null")
    replace_once(folder / "loop.yaml", "  schedule: {every: 30d}\n", "")
    replace_once(folder / "loop.yaml", "validation: 2d", "validation: 20d")
    assert check(folder).problems == ()

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.loop import load_loop, load_loops, to_ms
from driftloop.loop.code import load_features, load_module
from driftloop.loop.compile import compile_protos
from driftloop.loop.definition import parse_span
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import ROOT
from tests.helpers.editing import replace_once

ORDERS = ROOT / "tests" / "loops" / "orders"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a copy of a valid loop."""
    copy = tmp_path / "orders"
    copy.mkdir()
    for name in ("loop.yaml", "events.binpb"):
        shutil.copy(ORDERS / name, copy / name)
    return copy


def _edit(folder: Path, old: str, new: str) -> int:
    """Replace the only occurrence of ``old`` and return its line."""
    return replace_once(folder / "loop.yaml", old, new)


def _problems(folder: Path) -> list[str]:
    with pytest.raises(LoopDefinitionError) as raised:
        load_loop(folder)
    return [problem.removeprefix(f"{folder / 'loop.yaml'}:") for problem in raised.value.problems]


def test_valid_definition_is_loaded(folder: Path) -> None:
    loop = load_loop(folder)
    definition = loop.definition
    assert loop.name == "orders"
    assert definition.prediction.source == "orders.placed"
    assert to_ms(definition.label.horizon) == 60 * 3_600_000
    assert definition.events["orders.inspected"].feeds == (("market",), ("shop",))
    assert definition.monitoring.detectors["lines"].on == "lines"


def test_all_loops_of_the_checkout_are_valid() -> None:
    for folder in (ROOT / "loops", ROOT / "tests" / "loops"):
        for loop in load_loops(folder):
            assert set(loop.messages) == set(loop.definition.events)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("  lateness: 10m", "  latness: 10m", "time.latness: unknown key"),
        ("    key: shop\n", "    key: shop\n    ident: uid\n", "events.shops.shelved.ident: unknown key"),
        ("  lateness: 10m", "  lateness: -10m", "time.lateness: the duration must not be negative"),
        ("  block: 12h", "  block: -12h", "monitoring.block: the duration must be above zero"),
        ("  block: 12h", "  block: 0s", "monitoring.block: the duration must be above zero"),
        ("  horizon: 60h", "  horizon: -60h", "label.horizon: the duration must be above zero"),
        ("  validation: 2d", "  validation: -2d", "training.validation: the duration must be above zero"),
        ("  cooldown: 12h", "  cooldown: -12h", "training.cooldown: the duration must not be negative"),
        (
            "  horizon: 60h",
            "  horizon: 60",
            "label.horizon: 60 is not a duration; use a number and a unit, such as 36h or 2d",
        ),
        (
            "  horizon: 60h",
            "  horizon: 2 weeks",
            'label.horizon: "2 weeks" is not a duration; use a number and a unit, such as 36h or 2d',
        ),
        (
            "  horizon: 60h",
            "  horizon: 99999999999d",
            'label.horizon: "99999999999d" is too long; the longest duration is 999999999d',
        ),
        (
            "  kind: count",
            "  kind: ordinal",
            "label.kind: Input should be 'binary', 'regression', 'count' or 'multiclass'",
        ),
        (
            "  kind: count",
            "  kind: count\n  classes: [few, many]",
            "label.classes: only the kind multiclass has classes, not count; remove the key",
        ),
        ("  kind: count", "  kind: multiclass", "label.kind: multiclass needs the key `classes`"),
        (
            "  kind: count",
            "  kind: multiclass\n  classes: [few]",
            "label.classes: needs two or more class names",
        ),
        (
            "  kind: count",
            "  kind: multiclass\n  classes: [few, many, few]",
            "label.classes: lists 'few' twice; list each class once",
        ),
        (
            "  kind: count",
            "  kind: multiclass\n  classes: [1, many]",
            "label.classes.0: Input should be a valid string",
        ),
        ("  clock: request", "  clock: local", "prediction.clock: Input should be 'request' or 'now'"),
        (
            "  from: orders.placed",
            "  from: orders.posted",
            "prediction.from: 'orders.posted' is not declared in `events`",
        ),
        (
            "  from: orders.inspected",
            "  from: orders.seen",
            "label.from: 'orders.seen' is not declared in `events`",
        ),
        (
            "shop: {input: store}",
            "shop: {input: stoer}",
            "prediction.join_keys.shop: 'stoer' is not declared in `prediction.inputs`",
        ),
        (
            "shop: {input: store}",
            "shop: {input: store, const: all}",
            "prediction.join_keys.shop: give exactly one of `input` and `const`",
        ),
        ("shop: {input: store}", "shop: {}", "prediction.join_keys.shop: give exactly one of `input` and `const`"),
        (
            "    channel: {input: channel, max_values: 3}",
            "    channel: {input: chanel}",
            "monitoring.slices.channel: 'chanel' is not declared in `prediction.inputs`",
        ),
        ("mode: trigger", "mode: page", "monitoring.detectors.returns.mode: Input should be 'watch' or 'trigger'"),
        ("threshold: 4.0", "threshold: 0", "monitoring.detectors.returns.threshold: Input should be greater than 0"),
        ("share: 0.2", "share: 1.2", "rollout.steps.1.share: Input should be less than or equal to 1"),
        ("share: 0.2, ", "", "rollout.steps.1: a canary needs a `share` above 0"),
        (
            "{stage: shadow, min",
            "{stage: shadow, share: 0.1, min",
            "rollout.steps.0: a shadow answers no requests; remove `share`",
        ),
        (
            "min_blocks: 4, max_blocks: 12",
            "min_blocks: 4, max_blocks: 3",
            "rollout.steps.0: max_blocks must be at least min_blocks",
        ),
        (
            "  memory_limit_mib: 4096",
            "  memory_limit_mib: 1",
            "training.memory_limit_mib: Input should be greater than or equal to 256",
        ),
        ("  lateness: 10m", "  lateness: 10m\n  lateness: 20m", "repeats the key lateness; remove one"),
    ],
)
def test_problem_is_reported_with_its_line(folder: Path, old: str, new: str, problem: str) -> None:
    line = _edit(folder, old, new)
    [reported] = _problems(folder)
    number, _, message = reported.partition(": ")
    assert message.startswith(problem)
    assert int(number) in (line, line + 1)


def test_missing_key_is_reported_at_its_section(folder: Path) -> None:
    line = _edit(folder, "  horizon: 60h\n", "")
    lines = (folder / "loop.yaml").read_text().splitlines()
    assert _problems(folder) == [f"{lines.index('label:') + 1}: label.horizon: missing"]
    assert line > lines.index("label:")


def test_all_problems_are_reported_at_once(folder: Path) -> None:
    _edit(folder, "  lateness: 10m", "  lateness: -10m")
    _edit(folder, "  kind: count", "  kind: ordinal")
    assert [reported.split(": ")[1] for reported in _problems(folder)] == ["time.lateness", "label.kind"]


def test_loop_and_folder_must_have_the_same_name(folder: Path) -> None:
    _edit(folder, "loop: orders", "loop: returns")
    assert _problems(folder) == ["1: loop is 'returns' but its folder is 'orders'; give both the same name"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"loop: [orders", "not YAML"),
        (b"loop: orders\n\tx: 1", "2: not YAML"),
        (b"loop: \x00", "not YAML"),
        (b"loop: \xff", "cannot be read"),
        (b"", "1: "),
        (b"- a list", "1: "),
    ],
)
def test_file_that_is_not_a_definition_is_rejected(folder: Path, text: bytes, problem: str) -> None:
    (folder / "loop.yaml").write_bytes(text)
    [reported] = _problems(folder)
    assert problem in reported


def test_missing_loop_is_named(tmp_path: Path) -> None:
    assert _problems(tmp_path / "orders")[0].startswith("1: cannot be read")
    with pytest.raises(LoopDefinitionError, match=r"flowers/loop\.yaml:1: missing; there is no loop with this name"):
        load_loops(tmp_path, ["flowers"])


def test_problems_of_all_loops_are_reported_together(folder: Path) -> None:
    other = folder.parent / "other"
    shutil.copytree(folder, other)
    _edit(folder, "  lateness: 10m", "  lateness: -10m")
    with pytest.raises(LoopDefinitionError) as raised:
        load_loops(folder.parent)
    assert len(raised.value.problems) == 2
    assert len(load_loops(ORDERS.parent, ["orders"])) == 1


def test_messages_come_from_the_descriptor_set(folder: Path) -> None:
    placed = load_loop(folder).messages["orders.placed"]
    assert placed.DESCRIPTOR.full_name == "orders.v1.Placed"
    assert {"uid", "order_ref", "at_ms"} <= set(placed.DESCRIPTOR.fields_by_name)


def test_error_for_missing_descriptor_set_names_the_compile_command(folder: Path) -> None:
    (folder / "events.binpb").unlink()
    with pytest.raises(LoopDefinitionError, match=r"events.binpb:1: missing; .*python -m driftloop.loop.compile"):
        load_loop(folder).messages  # noqa: B018


def test_message_missing_from_descriptor_set_is_named(folder: Path) -> None:
    _edit(folder, "message: orders.v1.Placed", "message: orders.v1.Posted")
    with pytest.raises(LoopDefinitionError, match=r"events\.binpb has no message orders\.v1\.Posted"):
        load_loop(folder).messages  # noqa: B018


def test_descriptor_sets_match_their_protos() -> None:
    for folder in (path.parent for path in ROOT.glob("*loops/*/protos")):
        assert (folder / "events.binpb").read_bytes() == compile_protos(folder), f"compile {folder} again"
    assert (ORDERS / "events.binpb").read_bytes() == compile_protos(ORDERS)


def test_protoc_errors_are_reported(tmp_path: Path) -> None:
    (tmp_path / "protos").mkdir()
    broken = tmp_path / "protos" / "broken.proto"
    broken.write_text('syntax = "proto3";\nmessage {')
    with pytest.raises(LoopDefinitionError) as raised:
        compile_protos(tmp_path)
    assert raised.value.problems == [f"{broken}:2:9: Expected message name."]


def test_module_is_imported_from_the_loop_folder(tmp_path: Path) -> None:
    (tmp_path / "greenhouse").mkdir()
    (tmp_path / "greenhouse" / "model.py").write_text("ANSWER = 42")
    assert load_module(tmp_path / "greenhouse", "model").ANSWER == 42
    with pytest.raises(LoopDefinitionError, match=r"requests\.py:1: missing"):
        load_module(tmp_path / "greenhouse", "requests")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import json\n\nANSWER = 1 / 0\n", "3: ZeroDivisionError: division by zero"),
        ("import json\nANSWER = = 2\n", "2: SyntaxError: invalid syntax (model.py, line 2)"),
        ("import torhc\n", "1: ModuleNotFoundError: No module named 'torhc'"),
        ("import json\njson.loads('{')\n", "2: JSONDecodeError: Expecting property name"),
    ],
)
def test_error_in_loop_code_is_reported_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    folder = tmp_path / f"barn{abs(hash(text))}"
    folder.mkdir()
    path = folder / "model.py"
    path.write_text(text)
    with pytest.raises(LoopDefinitionError) as raised:
        load_module(folder, "model")
    assert raised.value.problems[0].startswith(f"{path}:{problem}")


def test_definition_is_frozen(folder: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_loop(folder).definition.loop = "other"  # type: ignore[misc]


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_duration_is_a_number_and_a_unit(number: int, unit: str) -> None:
    milliseconds = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[unit]
    assert to_ms(parse_span(f"{number}{unit}")) == number * milliseconds
    assert parse_span(f"-{number}{unit}") == -parse_span(f"{number}{unit}")


def test_duration_may_have_a_fraction() -> None:
    assert parse_span("1.5h") == timedelta(minutes=90)


@pytest.mark.parametrize("text", ["", "h", "1", "1 h", "1w", "one day", 5, None, "1h30m", "\u0661h x"])
def test_invalid_duration_is_rejected(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_span(text)


def test_feature_definitions_are_loaded_from_the_given_folder(tmp_path: Path) -> None:
    (tmp_path / "greenhouse.py").write_text("VIEWS = ['from elsewhere']\n")
    assert load_features("greenhouse", tmp_path).VIEWS == ["from elsewhere"]
    with pytest.raises(LoopDefinitionError, match="barn"):
        load_features("barn", tmp_path)


@pytest.mark.parametrize(("line", "hours"), [("", 60), ("\n  corrections: 0s", 0), ("\n  corrections: 10d", 240)])
def test_corrections_default_to_the_horizon(folder: Path, line: str, hours: int) -> None:
    _edit(folder, "  horizon: 60h", f"  horizon: 60h{line}")
    assert to_ms(load_loop(folder).definition.label.correction_span) == hours * 3_600_000

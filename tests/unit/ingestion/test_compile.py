"""What is wrong with a loop is said at the line, before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.process.errors import LoopDefinitionError
from services.ingestion.bootstrap import compile_loops
from tests.unit.ingestion.fixtures import PLACED, write_loop

_EXPRESSION = '"100 // count"'


@pytest.mark.parametrize(
    ("before", "after", "word", "says"),
    [
        ("id: uid", "id: name", "id", "'name'"),
        ("time: placed_ms", "time: amount", "time", "int64"),
        ("note: {max_length: 4}", "notes: {max_length: 4}", "notes", "no field 'notes'"),
        ("amount: {min: 0", "amount: {max_length: 3, min: 0", "amount", "max_length"),
        ("note: {max_length: 4}", "note: {min: 4}", "note", "min"),
        ("note: {max_length: 4}", "note: {allow_non_finite: true}", "note", "allow_non_finite"),
        ("note: {max_length: 4}", "dear: {max: 4}", "dear", "only allow_non_finite"),
        ("[[everywhere], [shop, buyer]]", "[[everywhere], [street]]", "feeds", "'street'"),
        ("[[everywhere], [shop, buyer]]", "[[amount]]", "feeds", "double"),
        ("value: paid", "value: shop", "label", "string"),
        ("value: paid", "value: earned", "label", "'earned'"),
        (
            "from: orders.paid, key: order_id, value: paid, kind: regression",
            "from: orders.placed, key: order_id, value: amount, kind: multiclass, classes: [north, south]",
            "label",
            "double; it must be one of string, int32, int64",
        ),
        (
            "from: orders.paid, key: order_id, value: paid, kind: regression",
            "from: orders.placed, key: order_id, value: shop, kind: multiclass, classes: [north, south]",
            "label",
            "label.classes lacks 'häfen', which the rules of 'shop' list",
        ),
        (_EXPRESSION, '"100 // cuont"', "inverse", "cuont"),
        (_EXPRESSION, '"100 //"', "inverse", "inverse"),
        (_EXPRESSION, '"sum(count)"', "inverse", "aggregate"),
        (_EXPRESSION, '"1) FROM (SELECT 1"', "inverse", "inverse"),
        (_EXPRESSION, '"[count]"', "inverse", "list"),
        (_EXPRESSION, "\"(SELECT content FROM read_text('/etc/hostname'))\"", "inverse", "disabled"),
        (_EXPRESSION, '"row_number() OVER ()"', "derive", "row alone"),
        (_EXPRESSION, '"lag(count) OVER ()"', "derive", "row alone"),
        (_EXPRESSION, '"unnest([count, 2])"', "derive", "row alone"),
        (_EXPRESSION, '"random()"', "derive", "row alone"),
        ("inverse:", "buyer:", "buyer", "already"),
        ("inverse:", "source_offset:", "source_offset", "already"),
        ("inverse:", "in verse:", "in verse", "no name"),
    ],
)
def test_a_wrong_definition_names_its_line(tmp_path: Path, before: str, after: str, word: str, says: str) -> None:
    loop = write_loop(tmp_path, replace=(before, after))
    with pytest.raises(LoopDefinitionError) as caught:
        compile_loops([loop])
    [problem] = caught.value.problems
    path, line, _ = problem.split(":", 2)
    assert Path(path) == loop.folder / "loop.yaml"
    assert word in Path(path).read_text().splitlines()[int(line) - 1]
    assert says in problem


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    loop = write_loop(tmp_path, replace=("id: uid\n    key: order_id", "id: name\n    key: number"))
    with pytest.raises(LoopDefinitionError) as caught:
        compile_loops([loop])
    assert len(caught.value.problems) == 2


def test_derived_columns_have_types_that_a_table_can_hold(tmp_path: Path) -> None:
    [compiled] = compile_loops([write_loop(tmp_path)])
    kinds = {field.name: str(field.type) for field in compiled.derives[PLACED].schema}
    assert kinds == {"everywhere": "string", "dear": "double", "inverse": "int32"}


def test_entities_have_their_join_keys_in_alphabetical_order(tmp_path: Path) -> None:
    [compiled] = compile_loops([write_loop(tmp_path)])
    assert compiled.feeds.entities[PLACED] == (("everywhere",), ("buyer", "shop"))

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from driftloop.ops.cli.report import report
from tests.helpers.lifecycle import drifting

EVENTS = [*drifting().events, *drifting("parcels").events]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(report, arguments, obj=lambda _: EVENTS)


@pytest.mark.parametrize(("name", "heading"), [("orders", "orders: one alarm"), ("r-b", "Model card: r-b")])
def test_a_loop_and_a_release_have_a_page(name: str, heading: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    found = run(name, "-o", str(path))
    assert found.exit_code == 0, found.output
    assert found.stdout == f"wrote {path}\n"
    assert f"<h1>{heading}" in path.read_text()


def test_json_prints_the_numbers_and_writes_nothing() -> None:
    found = run("orders", "--json")
    told = json.loads(found.stdout)
    assert told["loop"] == "orders"
    assert told["kpis"]["alarms"]["trigger"] == 1
    assert "wrote" not in found.stderr


def test_json_of_a_release_is_its_card() -> None:
    assert json.loads(run("r-c", "--json").stdout)["details"]["run"] == "run-c"


def test_an_unknown_name_is_a_mistake_that_lists_what_there_is() -> None:
    found = run("nothing")
    assert found.exit_code == 2
    assert "There are loops: orders, parcels; releases: r-a, r-b, r-c." in found.output

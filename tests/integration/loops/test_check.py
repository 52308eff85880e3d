"""``driftloop check`` over loops that are right, and over one that is wrong wherever it can be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from driftloop.loop import load_loop
from driftloop.model.bundle import Input, Manifest, write_bundle
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import ROOT, Settings
from services.ingestion.check import inspect
from tests.helpers.editing import replace_once

pytestmark = [pytest.mark.integration, pytest.mark.surface]


def check(
    loops: Path, feature_repo: Path, *arguments: str, variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "DRIFTLOOP_LOOPS_DIR": str(loops),
        "DRIFTLOOP_FEATURE_REPO": str(feature_repo),
        "COLUMNS": "200",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "driftloop.ops.cli", "check", *arguments],
        cwd=ROOT, env=environment, text=True, capture_output=True, check=False, timeout=120,
    )  # fmt: skip


class Copy:
    """A loop with its Feast definitions, to be broken."""

    def __init__(self, folder: Path) -> None:
        self.loops, self.feature_repo = folder / "loops", folder / "feature_repo"
        shutil.copytree(ROOT / "tests" / "loops" / "orders", self.loops / "orders")
        shutil.copytree(ROOT / "tests" / "loops" / "feature_repo", self.feature_repo)

    def edit(self, path: Path, old: str, new: str) -> str:
        """Replace the one place where ``old`` stands; returns it as ``file:line``."""
        return f"{path}:{replace_once(path, old, new)}"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_a_loop_that_is_right_is_told_what_it_will_bring_about() -> None:
    done = check(ROOT / "loops", ROOT / "feature_repo", "--json")
    assert done.returncode == 0, done.stderr
    [(name, found)] = json.loads(done.stdout).items()
    effects = {(each["kind"], each["name"]): each["what"] for each in found["effects"]}
    assert (name, found["problems"]) == ("flights", [])
    assert effects["topic", "flights.departed"].startswith("2 partitions of flights.v1.FlightDeparted")
    assert effects["view", "flights_origin_departed"] == "8 features by origin"
    assert "inputs: flight_id, decision_time_ms, carrier" in effects["model", "flights"]
    assert effects["run", "schedule"] == "every 49d of event time, on the last 14d"
    assert effects["stage", "2. canary"] == "answers 10% of keys for 4d"
    assert {kind for kind, _ in effects} == {"table", "view", "trainer", "topic", "model", "run", "detector", "stage"}


def test_every_problem_is_told_at_its_line_by_whoever_would_refuse_it(copy: Copy) -> None:
    definition, views = copy.loops / "orders" / "loop.yaml", copy.feature_repo / "orders.py"
    rule = copy.edit(definition, "      lines: {min: 1, max: 500}", "      linez: {min: 1, max: 500}")
    offered = copy.edit(definition, "    basket_cents: {type: double}", "    basket: {type: double}")
    detector = copy.edit(definition, '"on": lines', '"on": linse')
    trainer = copy.edit(definition, "model:Trainer", "model:Trainr")
    view = copy.edit(views, '["items_back"], [3 * DAY]', '["came_back"], [3 * DAY]')
    done = check(copy.loops, copy.feature_repo)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"{rule}: rules: orders.v1.Placed has no field 'linez'",
        f"{view}: orders_market_returns reads the column 'came_back', which orders.inspected neither has nor derives",
        f"{detector}: monitoring.detectors.lines.on: 'linse' is unknown; "
        "give score, an input of the model, or <view>__<feature>",
        f"{offered}: orders.placed has no column 'basket'",
        f"{trainer}: trainer: {copy.loops}/orders/model.py has no class 'Trainr' with a method `fit`",
        "5 problems in orders",
    ]


def test_code_that_fails_is_told_at_its_line(copy: Copy) -> None:
    broken = {
        copy.loops / "orders" / "protos" / "orders" / "v1" / "orders.proto": 'syntax = "proto3";\nmessage {',
        copy.feature_repo / "orders.py": "VIEWS = [\n",
        copy.loops / "orders" / "model.py": "import json\nimport nothing_of_that_name\n",
    }
    for path, text in broken.items():
        path.write_text(text)
    done = check(copy.loops, copy.feature_repo)
    proto, views, model = broken
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"{proto}:2:9: Expected message name.",
        f"{views}:1: SyntaxError: '[' was never closed (orders.py, line 1)",
        f"{model}:2: ModuleNotFoundError: No module named 'nothing_of_that_name'",
        "3 problems in orders",
    ]


def test_a_proto_that_was_changed_since_is_told_with_the_command_that_compiles_it(copy: Copy) -> None:
    folder = copy.loops / "orders"
    copy.edit(folder / "protos" / "orders" / "v1" / "orders.proto", "double shelf_units = 4;", "double units = 4;")
    with pytest.raises(LoopDefinitionError, match=f"run `python -m driftloop.loop.compile {folder}`"):
        inspect(load_loop(folder), Settings())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["nothing"], "there is no loop 'nothing'"), (["--jsn"], "driftloop check: No such option: --jsn")],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(copy: Copy, arguments: list[str], told: str) -> None:
    done = check(copy.loops, copy.feature_repo, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_view_that_a_serving_release_reads_may_not_be_renamed(copy: Copy, tmp_path: Path) -> None:
    view, name = "orders_shop_lines", "count_lines_86400s"
    column = Input(f"{view}__{name}", "feature", "double", view, name)
    manifest = Manifest("orders", "run-1", "count", "orders_v1", (column,), (), {})
    digest = write_bundle(tmp_path / "home" / "triton" / "releases" / "r-1", manifest, {})
    route = {"champion": {"release_id": "r-1", "digest": digest}, "challenger": None}
    (tmp_path / "home" / "triton" / "routes").mkdir()
    (tmp_path / "home" / "triton" / "routes" / "orders.json").write_text(json.dumps(route))
    home = {"DRIFTLOOP_HOME": str(tmp_path / "home")}
    assert check(copy.loops, copy.feature_repo, variables=home).returncode == 0
    views = copy.feature_repo / "orders.py"
    copy.edit(views, '"orders_shop_lines", "orders.placed"', '"orders_lines_of_shops", "orders.placed"')
    done = check(copy.loops, copy.feature_repo, variables=home)
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        1,
        f"{views}:1: r-1 reads the view 'orders_shop_lines', which is no longer defined; "
        "keep it until another release has replaced r-1",
    )


def test_a_join_key_of_another_type_is_refused_where_it_is_sent(copy: Copy) -> None:
    definition = copy.loops / "orders" / "loop.yaml"
    copy.edit(definition, "store: {type: string, column", "store: {type: int64, column")
    done = check(copy.loops, copy.feature_repo)
    assert done.returncode == 1
    assert "stores the join key shop as string, but a request has it as int64; use one type" in done.stdout


def test_a_fit_on_generated_rows_finds_what_the_files_do_not_show(copy: Copy) -> None:
    done = check(copy.loops, copy.feature_repo, "--fit")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = copy.loops / "orders"
    copy.edit(folder / "loop.yaml", "{ridge: 1.0, steps: 25}", "{ridge: 1.0}")
    copy.edit(folder / "requests.py", '        "channel": placed["channel"],\n', "")
    done = check(copy.loops, copy.feature_repo, "--fit")
    assert done.returncode == 1
    fit, requests, total = done.stdout.splitlines()
    assert fit.startswith(f"{folder}/model.py:")
    assert "training.parameters of loop.yaml has no 'steps'" in fit
    assert requests.startswith(f"{folder}/requests.py:")
    assert "requests returns no column 'channel'" in requests
    assert total == "2 problems in orders"

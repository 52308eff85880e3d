"""Definitions that lack what a release reads that scores now are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftloop.loop import Loop, LoopDefinition, load_loop
from driftloop.model.bundle import Input, Manifest, write_bundle
from driftloop.process.settings import ROOT, Settings
from services.features.domain.views import Aggregate, Feed, Latest, ViewSpec
from services.features.releases_in_use import in_use_problems

RETURNS = ViewSpec(
    "orders_shop_returns",
    Feed("orders.inspected", ("shop",)),
    ("string",),
    (Aggregate("count_86400s", "count", "items_back", 86_400_000),),
)
SHELF = ViewSpec(
    "orders_shop_shelf", Feed("shops.shelved", ("shop",)), ("string",), latest=(Latest("shelf_units", "double"),)
)
COUNT = Input("orders_shop_returns__count_86400s", "feature", "double", "orders_shop_returns", "count_86400s")
UNITS = Input("orders_shop_shelf__shelf_units", "feature", "double", "orders_shop_shelf", "shelf_units")
LINES = Input("lines", "request", "double")
CHANNEL = Input("channel", "request", "string")


@pytest.fixture
def loop() -> Loop:
    return load_loop(ROOT / "tests" / "loops" / "orders")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, feature_repo=tmp_path / "repo")


def stage(settings: Settings, name: str, **changes: Any) -> dict[str, str]:
    """Write a release as the agent stages it."""
    manifest = Manifest("orders", name, "count", "orders_v1", (COUNT, UNITS, LINES), (CHANNEL,), {})
    digest = write_bundle(settings.triton / "releases" / name, replace(manifest, **changes), {})
    return {"release_id": name, "digest": digest}


def route(
    settings: Settings,
    champion: dict[str, str],
    challenger: dict[str, str] | None = None,
    rollback_to: dict[str, str] | None = None,
) -> None:
    path = settings.triton / "routes" / "orders.json"
    path.parent.mkdir(parents=True)
    roles = {"champion": champion, "challenger": challenger, "rollback_to": rollback_to}
    path.write_text(json.dumps({"format": 1, "loop": "orders", **roles}))


def with_inputs(loop: Loop, **changes: Any) -> Loop:
    data = yaml.safe_load((loop.folder / "loop.yaml").read_text())
    inputs = {name: value for name, value in {**data["prediction"]["inputs"], **changes}.items() if value}
    prediction = {**data["prediction"], "inputs": inputs}
    definition = LoopDefinition.model_validate({**data, "prediction": prediction, "monitoring": {}})
    return replace(loop, definition=definition)


def test_unchanged_definitions_and_a_home_without_releases_are_accepted(loop: Loop, settings: Settings) -> None:
    assert list(in_use_problems(loop, [], settings)) == []
    route(settings, stage(settings, "r-1"))
    assert list(in_use_problems(loop, [RETURNS, SHELF], settings)) == []


@pytest.mark.parametrize("role", ["champion", "challenger"])
def test_a_renamed_view_is_refused_while_a_release_reads_it(loop: Loop, settings: Settings, role: str) -> None:
    other = stage(settings, "r-0", numeric=(UNITS,), categorical=())
    mine = stage(settings, "r-1")
    route(settings, *((mine, other) if role == "champion" else (other, mine)))
    [problem] = in_use_problems(loop, [replace(RETURNS, view="orders_returns"), SHELF], settings)
    assert problem == (
        f"{settings.feature_repo}/orders.py:1: r-1 reads the view 'orders_shop_returns', which is no longer defined; "
        "keep it until another release has replaced r-1"
    )


def test_a_renamed_view_is_refused_while_a_rollback_would_restore_a_release_that_reads_it(
    loop: Loop, settings: Settings
) -> None:
    former, champion = stage(settings, "r-1"), stage(settings, "r-2", numeric=(UNITS,), categorical=())
    route(settings, champion, rollback_to=former)
    [problem] = in_use_problems(loop, [replace(RETURNS, view="orders_returns"), SHELF], settings)
    assert problem == (
        f"{settings.feature_repo}/orders.py:1: r-1 reads the view 'orders_shop_returns', which is no longer defined; "
        "a rollback restores r-1, so keep it until the next promotion"
    )


def test_a_former_champion_whose_files_are_gone_hides_no_problem_of_the_champion(
    loop: Loop, settings: Settings
) -> None:
    route(settings, stage(settings, "r-2"), rollback_to={"release_id": "r-1", "digest": "d"})
    assert len(list(in_use_problems(loop, [SHELF], settings))) == 1


def test_a_removed_feature_and_one_of_another_type_are_refused(loop: Loop, settings: Settings) -> None:
    route(settings, stage(settings, "r-1"))
    renamed = replace(RETURNS, aggregates=(replace(RETURNS.aggregates[0], name="count_3600s"),))
    texts = replace(SHELF, latest=(Latest("shelf_units", "string"),))
    first, second = in_use_problems(loop, [renamed, texts], settings)
    assert "reads 'orders_shop_returns__count_86400s', which is no longer defined" in first
    assert "reads 'orders_shop_shelf__shelf_units' as double, and now it is string" in second


def test_a_removed_input_and_one_of_another_type_are_refused_at_their_line(loop: Loop, settings: Settings) -> None:
    route(settings, stage(settings, "r-1"))
    changed = with_inputs(loop, lines={"type": "string"}, channel=None)
    first, second = in_use_problems(changed, [RETURNS, SHELF], settings)
    assert first.startswith(
        f"{loop.line_of('prediction', 'inputs')}: r-1 reads 'lines' as double, and now it is string"
    )
    assert "r-1 reads 'channel', which is no longer defined" in second


def test_another_kind_of_label_is_refused(loop: Loop, settings: Settings) -> None:
    route(settings, stage(settings, "r-1", label_kind="multiclass", classes=("a", "b")))
    [problem] = in_use_problems(loop, [RETURNS, SHELF], settings)
    assert (
        problem == f"{loop.line_of('label', 'kind')}: r-1 scores multiclass a, b; create a new loop for another label"
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"champion": {"release_id": "gone"}, "challenger": null}'])
def test_files_that_cannot_be_read_are_the_agents_problem(loop: Loop, settings: Settings, content: bytes) -> None:
    route(settings, stage(settings, "r-1"))
    (settings.triton / "routes" / "orders.json").write_bytes(content)
    assert list(in_use_problems(loop, [], settings)) == []

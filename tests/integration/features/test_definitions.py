"""Feast definitions read back as views, and what is said when they do not fit the loop."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from driftloop.featurestore.feast_client import open_store
from driftloop.process.errors import LoopDefinitionError
from services.features.adapters.feast_views import apply, misfits
from services.features.domain.views import Aggregate, Feed, Latest, ViewSpec
from tests.integration.features.conftest import Home, settings_in
from tests.integration.features.orders_stream import LOOPS, orders

pytestmark = pytest.mark.integration
DAY_MS = 86_400_000


def test_views_are_what_the_definitions_declare(home: Home) -> None:
    views = {spec.view: spec for spec in home.specs}
    assert views["orders_shop_lines"] == ViewSpec(
        "orders_shop_lines",
        Feed("orders.placed", ("shop",)),
        ("string",),
        (
            Aggregate("count_lines_86400s", "count", "lines", DAY_MS),
            Aggregate("sum_lines_86400s", "sum", "lines", DAY_MS),
        ),
    )
    assert views["orders_shop_shelf"].latest == (Latest("shelf_units", "double"),)
    assert len(views) == 4


def test_a_view_that_does_not_fit_the_events_is_reported() -> None:
    good = ViewSpec("v", Feed("orders.placed", ("shop",)), ("string",), latest=(Latest("channel", "string"),))
    assert list(misfits(orders(), [good])) == []
    wrong = [
        replace(good, feed=Feed("orders.lost", ("shop",))),
        replace(good, feed=Feed("orders.placed", ("channel",))),
        replace(good, latest=(Latest("weight", "double"),)),
    ]
    said = [misfit.text for misfit in misfits(orders(), wrong)]
    assert ["'orders.lost'" in said[0], "[channel]" in said[1], "'weight'" in said[2]] == [True] * 3
    assert len(said) == 3


@pytest.mark.parametrize(
    ("before", "after", "line", "says"),
    [
        ("orders_v1 =", "shop_lines.tags = {}\norders_v1 =", "shop_lines =", "must have tags={'loop': 'orders'}"),
        ("orders_v1 =", "shop_lines.ttl = DAY\norders_v1 =", "shop_lines =", "must have ttl=timedelta(0)"),
        (
            "orders_v1 =",
            'shop_lines.aggregations[1].function = "max"\norders_v1 =',
            "shop_lines =",
            "write a count or a sum",
        ),
        ('"shops.shelved"', '"shops.shut"', "shop_shelf =", "'shops.shut', which `events`"),
    ],
)
def test_wrong_definitions_are_refused_at_their_line(
    tmp_path: Path, before: str, after: str, line: str, says: str
) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(LOOPS / "feature_repo", repo)
    shutil.copy(Path("feature_repo/feature_store.yaml").resolve(), repo)
    text = (repo / "orders.py").read_text()
    assert before in text
    (repo / "orders.py").write_text(text.replace(before, after))
    settings = settings_in(tmp_path).model_copy(update={"feature_repo": repo})
    lines = (repo / "orders.py").read_text().splitlines()
    number = next(at for at, content in enumerate(lines, start=1) if line in content)
    with pytest.raises(LoopDefinitionError, match=rf"orders\.py:{number}: .*") as raised:
        apply(open_store(settings), [orders()], repo)
    assert says in str(raised.value)


def test_an_unknown_feature_service_is_refused_at_its_line_in_the_loops_definition(tmp_path: Path) -> None:
    loop = orders()
    prediction = loop.definition.prediction.model_copy(update={"feature_service": "orders_v9"})
    asking = replace(loop, definition=loop.definition.model_copy(update={"prediction": prediction}))
    lines = (LOOPS / "orders" / "loop.yaml").read_text().splitlines()
    line = next(at for at, text in enumerate(lines, start=1) if "feature_service:" in text)
    settings = settings_in(tmp_path).model_copy(update={"feature_repo": LOOPS / "feature_repo"})
    with pytest.raises(LoopDefinitionError, match=rf"loop\.yaml:{line}: there is no feature service 'orders_v9'"):
        apply(open_store(settings), [asking], LOOPS / "feature_repo")


def test_a_loop_without_definitions_is_reported_with_the_missing_file(home: Home, tmp_path: Path) -> None:
    with pytest.raises(LoopDefinitionError, match=r"orders\.py:1: missing"):
        apply(home.store, [orders()], tmp_path)

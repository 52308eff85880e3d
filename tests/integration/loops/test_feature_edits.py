"""An edit of Feast definitions that cannot work is reported at its own file and line: one edit of a valid loop each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from driftloop.loop import load_loop
from driftloop.loop.findings import Findings, findings_of
from driftloop.ops.loop_check import merge
from driftloop.process.settings import ROOT, Settings
from services.features.check import inspect as inspect_features  # imports Feast, so before ingestion's check
from services.ingestion.check import inspect as inspect_events
from tests.helpers.editing import replace_once, reported_line

pytestmark = [pytest.mark.integration, pytest.mark.surface]

LOOPS = ROOT / "tests" / "loops"

VIEWS = {
    "event misspelt": ('"shops.shelved"', '"shops.shelvd"', "'shops.shelvd', which `events`"),
    "column misspelt": ('["lines"], [DAY]', '["linez"], [DAY]', "column 'linez'"),
    "entity that no event feeds": ('"orders.placed", [shop]', '"orders.placed", [market]', r"needs `- \[market\]`"),
    "entity's key misspelt": ('join_keys=["market"]', 'join_keys=["markt"]', "markt"),
    "number from a string column": ('["shelf_units"]', '["shop"]', "shop"),
    "sum of a string column": ('["lines"], [DAY]', '["channel"], [DAY]', "orders.placed.channel is string"),
    "window below zero": ('["lines"], [DAY]', '["lines"], [-DAY]', "time_window above zero"),
    "view named twice": ('"orders_shop_lines"', '"orders_shop_returns"', "orders_shop_returns"),
    "undefined name": ("7 * DAY", "7 * WEEK", "name 'WEEK' is not defined"),
    "undefined name in a function": (
        "orders_v1 =",
        "def later() -> object:\n    return nowhere\n\norders_v1 =",
        "the name 'nowhere' is not defined",
    ),
    "entity instead of its list": ('"shops.shelved", [shop]', '"shops.shelved", shop', "shop|iterable"),
    "argument misspelt": ("features=[shop_returns", "feature=[shop_returns", "feature"),
    "ttl": ("orders_v1 =", "shop_lines.ttl = DAY\norders_v1 =", "must have ttl"),
    "function that is not computed": (
        "orders_v1 =",
        'shop_lines.aggregations[1].function = "max"\norders_v1 =',
        "write a count or a sum",
    ),
    "syntax error": ("DAY = timedelta(days=1)", "DAY = timedelta(days=1", "SyntaxError"),
    "missing module": ("from feature_repo.views", "from feature_repo.viewz", "No module named"),
}  # fmt: skip
"""Edits of ``feature_repo/orders.py``."""

DEFINITION = {
    "feature service misspelt": ("orders_v1", "orders_v2", "no feature service 'orders_v2'"),
    "join key missing": ("    market: {const: all}\n", "", "needs the join key 'market'"),
    "detector on an unknown input": ('"on": lines', '"on": linez', "lines.on: 'linez' is unknown; give score"),
    "detector on an input that the model does not use": (
        '"on": lines',
        '"on": store',
        "lines.on: 'store' has `model: false`",
    ),
    "input named like a feature": (
        "lines: {type: int64}",
        "orders_shop_shelf__shelf_units: {type: int64, column: lines}",
        "a feature has this name",
    ),
}
"""Edits of ``loop.yaml``."""


class Copy:
    """A valid loop and its Feast definitions, to be edited."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.feature_repo = folder / "loops" / "orders", folder / "feature_repo"
        shutil.copytree(LOOPS / "orders", self.folder, ignore=shutil.ignore_patterns("protos"))
        shutil.copytree(LOOPS / "feature_repo", self.feature_repo)
        self.views, self.definition = self.feature_repo / "orders.py", self.folder / "loop.yaml"

    def check(self) -> Findings:
        settings = Settings(loops_dir=self.folder.parent, feature_repo=self.feature_repo)
        loop = load_loop(self.folder)
        return merge(loop, [], [findings_of(inspect, loop, settings) for inspect in (inspect_events, inspect_features)])

    def assert_reported(self, path: Path, says: str) -> str:
        """Assert that a problem names the file and a line with text, and return the line."""
        return reported_line(self.check().problems, path, says)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_valid_loop_has_no_problem(copy: Copy) -> None:
    findings = copy.check()
    assert findings.problems == ()
    assert findings.features[0] == ("orders_shop_returns__count_items_back_86400s", "double")


@pytest.mark.parametrize(("old", "new", "says"), VIEWS.values(), ids=VIEWS)
def test_edit_of_the_views_is_reported(copy: Copy, old: str, new: str, says: str) -> None:
    replace_once(copy.views, old, new)
    assert copy.assert_reported(copy.views, says).strip()


@pytest.mark.parametrize(("old", "new", "says"), DEFINITION.values(), ids=DEFINITION)
def test_edit_of_the_definition_is_reported(copy: Copy, old: str, new: str, says: str) -> None:
    replace_once(copy.definition, old, new)
    assert copy.assert_reported(copy.definition, says).strip()


def test_an_entity_of_another_loop_with_another_key_is_reported(copy: Copy) -> None:
    other = copy.folder.parent / "other"
    other.mkdir()
    shutil.copy(copy.definition, other)
    text = copy.views.read_text().replace("orders_", "other_").replace('LOOP = "orders"', 'LOOP = "other"')
    (copy.feature_repo / "other.py").write_text(text)
    assert copy.check().problems == ()
    (copy.feature_repo / "other.py").write_text(text.replace('join_keys=["shop"]', 'join_keys=["place"]'))
    assert copy.assert_reported(copy.views, "the entity 'shop' has the key").startswith("shop = ")


def test_a_view_that_is_not_computed_is_reported_in_the_service(copy: Copy) -> None:
    replace_once(copy.views, "import Entity, FeatureService", "import Entity, FeatureService, FeatureView")
    replace_once(
        copy.views,
        "orders_v1 =",
        'plain = FeatureView(name="plain", entities=[shop], source=shop_lines.batch_source)\n\norders_v1 =',
    )
    replace_once(copy.views, "shop_lines, shop_shelf]", "shop_lines, plain]")
    copy.assert_reported(copy.views, "plain, which is not a stream feature view")

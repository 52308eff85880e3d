from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from driftloop.featurestore.defined_views import write_defined_views
from driftloop.loop import load_loop
from driftloop.model.bundle import MANIFEST, Input, Manifest, write_bundle
from driftloop.process.settings import ROOT, Settings
from services.registry.adapters.gone_inputs import GoneInputs
from services.registry.domain.release import ReleaseRecord
from tests.unit.registry.builders import candidate

VIEW = "orders_shop_returns"
INPUTS = tuple(Input(f"{VIEW}__{name}", "feature", "double", VIEW, name) for name in ("a", "b", "c", "d"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def gone(settings: Settings) -> GoneInputs:
    return GoneInputs(settings, [load_loop(ROOT / "tests" / "loops" / "orders")])


@pytest.fixture
def release(settings: Settings) -> ReleaseRecord:
    folder = settings.bundles / "orders" / "run-1"
    write_bundle(folder, Manifest("orders", "run-1", "count", "orders_v1", INPUTS, (), {}), {})
    return replace(candidate(1), bundle_uri=folder.as_uri())


def test_a_release_whose_inputs_are_all_defined_can_answer(
    settings: Settings, gone: GoneInputs, release: ReleaseRecord
) -> None:
    assert gone("orders", release) == "", "features has not recorded its views yet"
    write_defined_views(settings, {"orders": {VIEW: dict.fromkeys("abcd", "double")}})
    assert gone("orders", release) == ""


def test_inputs_that_are_gone_are_named(settings: Settings, gone: GoneInputs, release: ReleaseRecord) -> None:
    write_defined_views(settings, {"orders": {"another": dict.fromkeys("abcd", "double")}})
    assert gone("orders", release) == (
        f"r-1 reads {VIEW}__a, {VIEW}__b, {VIEW}__c and 1 more, which the definitions no longer have. Define it again "
        "and restart the system, or train another release"
    )


def test_a_bundle_that_cannot_be_read_is_left_to_the_serving_agent(
    settings: Settings, gone: GoneInputs, release: ReleaseRecord
) -> None:
    write_defined_views(settings, {"orders": {}})
    (settings.bundles / "orders" / "run-1" / MANIFEST).write_bytes(b"{")
    assert gone("orders", release) == ""
    assert gone("orders", candidate(2)) == ""

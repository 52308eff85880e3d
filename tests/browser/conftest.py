"""A browser, a page in it, and the control service that serves the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import EXECUTABLE, open_chromium, open_page
from tests.browser.fixtures import history_with_open_approval, history_without_champion
from tests.browser.harness import PageHarness


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if EXECUTABLE is None:
        skip = pytest.mark.skip(reason="Chromium is not installed: apt-get install chromium")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(skip)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[PageHarness]:
    """Serve a loop with a release that waits for approval, one without a champion and one without events."""
    harness = PageHarness(
        tmp_path, [history_with_open_approval(), history_without_champion("parcels")], ["orders", "parcels", "returns"]
    )
    yield harness
    harness.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with open_page(browser) as page:
        yield page

"""A browser, and the page to look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser.chromium import EXECUTABLE, Browser, Tab, chromium
from tests.browser.fixtures import beginning, season
from tests.browser.harness import PageHarness


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where there is no browser there is nothing to look with."""
    if EXECUTABLE is None:
        skip = pytest.mark.skip(reason="no Chromium is installed: apt-get install chromium")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(skip)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[PageHarness]:
    """A loop whose release waits for a person, one without a champion, one without events."""
    found = PageHarness(tmp_path, [season(), beginning("parcels")], ["orders", "parcels", "returns"])
    yield found
    found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """A browser for the tests of a file."""
    async with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def tab(browser: Browser) -> AsyncIterator[Tab]:
    """A page that shares nothing with those of other tests."""
    found = await browser.tab()
    yield found
    await found.close()

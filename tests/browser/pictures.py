"""``python -m tests.browser.pictures``: take the screenshots in docs/images."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

from driftloop.process.settings import ROOT
from tests.browser.chromium import PHONE, open_chromium, open_page
from tests.browser.fixtures import history_with_open_approval, history_without_champion
from tests.browser.harness import PageHarness

OUT = ROOT / "docs" / "images"
VIEWS = {"loops": "/#/", "loop": "/#/loop/orders", "chain": "/#/chain/orders:drift"}
SCREENS = {"desktop": (1280, 860), "phone": PHONE}
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def take_all(harness: PageHarness) -> None:
    """Save every view and the approval dialog on both screens, light and dark; desktop views in full length."""
    with open_chromium() as browser:
        for screen, size in SCREENS.items():
            for scheme in ("light", "dark"):
                for name, path in VIEWS.items():
                    with open_page(browser, size, dark=scheme == "dark") as page:
                        open_view(page, harness.url + path)
                        if screen == "desktop":
                            bottom = page.evaluate("document.querySelector('main').getBoundingClientRect().bottom")
                            page.set_viewport_size({"width": size[0], "height": round(bottom) - 24})
                        save(page, f"page-{name}-{screen}-{scheme}.png")
                with open_page(browser, size, dark=scheme == "dark") as page:
                    open_view(page, harness.url + VIEWS["loop"])
                    fill_approval(page)
                    save(page, f"page-approve-{screen}-{scheme}.png")


def open_view(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator(".connection")).to_have_text("live")
    expect(page.locator("main h2").first).to_be_visible()
    expect(page.locator("main")).not_to_contain_text("Loading…")


def fill_approval(page: Page) -> None:
    page.get_by_role("button", name="Approve", exact=True).click()
    page.locator("#who").fill("anna")
    page.locator("#why").fill("looked at its slices: better for small shops, too")


def save(page: Page, name: str) -> None:
    """Save a screenshot with at most 256 colours."""
    page.evaluate(TWO_FRAMES)
    page.screenshot(path=OUT / name)
    with Image.open(OUT / name) as screenshot:
        image = reduce_colours(np.asarray(screenshot.convert("RGB")))
    image.save(OUT / name, optimize=True)


def reduce_colours(pixels: NDArray[np.uint8]) -> Image.Image:
    """Map an image, uint8 [height, width, 3], to its 128 most frequent colours and 128 that cover the others."""
    height, width, _ = pixels.shape
    colours, index, count = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    frequent = colours[np.argsort(-count, kind="stable")[:128]]
    cover = Image.fromarray(colours[:, None, :]).quantize(128, method=Image.Quantize.MAXCOVERAGE).getpalette()
    palette = np.concatenate([frequent, np.array(cover, np.uint8).reshape(-1, 3)[:128]])
    distance = (colours[:, None, :].astype(np.int64) - palette[None, :, :]) ** 2
    nearest = distance.sum(axis=2).argmin(axis=1).astype(np.uint8)
    image = Image.fromarray(nearest[index].reshape(height, width), "P")
    image.putpalette(palette.tobytes())
    return image


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        histories = [history_with_open_approval(), history_without_champion("parcels")]
        harness = PageHarness(Path(folder), histories, ["orders", "parcels", "returns"])
        try:
            take_all(harness)
        finally:
            harness.stop()


if __name__ == "__main__":
    main()

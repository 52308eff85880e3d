"""``python -m tests.browser.pictures``: the pictures of the page that stand in docs/images."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from driftloop.process.settings import ROOT
from tests.browser.chromium import Tab, chromium
from tests.browser.fixtures import beginning, season
from tests.browser.harness import PageHarness

OUT = ROOT / "docs" / "images"
PLACES = {"loops": "/#/", "loop": "/#/loop/orders", "chain": "/#/chain/orders:drift"}
DESKTOP, PHONE = (1280, 860), (390, 844)
READY = "document.querySelector('main h2') && !document.querySelector('main').innerText.includes('Loading…')"
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"


async def shoot(tab: Tab, harness: PageHarness) -> None:
    """Each place on both screens, by day and by night; on the desktop in its whole length."""
    for kind, (width, height) in {"desktop": DESKTOP, "phone": PHONE}.items():
        for scheme in ("light", "dark"):
            for name, place in PLACES.items():
                await tab.look(width=width, height=height, dark=scheme == "dark")
                await tab.open("about:blank")
                await tab.open(harness.web + place)
                await tab.sees("live", ".connection")
                await tab.until(READY)
                if kind == "desktop":
                    whole = await tab.evaluate("document.querySelector('main').getBoundingClientRect().bottom")
                    await tab.look(width=width, height=round(whole) - 24, dark=scheme == "dark")
                await keep(tab, f"page-{name}-{kind}-{scheme}.png")
            await asks(tab, harness, width, height, scheme)
            await keep(tab, f"page-approve-{kind}-{scheme}.png")


async def asks(tab: Tab, harness: PageHarness, width: int, height: int, scheme: str) -> None:
    """The dialog before an approval, filled in."""
    await tab.look(width=width, height=height, dark=scheme == "dark")
    await tab.open("about:blank")
    await tab.open(harness.web + PLACES["loop"])
    await tab.until(READY)
    await tab.button("Approve")
    await tab.until("document.querySelector('dialog[open] #who')")
    for field, text in {"who": "anna", "why": "looked at its slices: better for small shops, too"}.items():
        await tab.evaluate(f"document.querySelector('#{field}').select()")
        await tab.write(text)


async def keep(tab: Tab, name: str) -> None:
    """Keep what is shown, once it is drawn."""
    await tab.evaluate(DRAWN)
    await tab.picture(OUT / name)
    with Image.open(OUT / name) as found:
        few = in_few_colours(np.asarray(found.convert("RGB")))
    few.save(OUT / name, optimize=True)


def in_few_colours(pixels: NDArray[np.uint8]) -> Image.Image:
    """A picture, uint8 [height, width, 3], in 256 colours: its 128 most frequent, and 128 that cover the others."""
    height, width, _ = pixels.shape
    colours, place, count = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    frequent = colours[np.argsort(-count, kind="stable")[:128]]
    cover = Image.fromarray(colours[:, None, :]).quantize(128, method=Image.Quantize.MAXCOVERAGE).getpalette()
    kept = np.concatenate([frequent, np.array(cover, np.uint8).reshape(-1, 3)[:128]])
    far = (colours[:, None, :].astype(np.int64) - kept[None, :, :]) ** 2
    nearest = far.sum(axis=2).argmin(axis=1).astype(np.uint8)
    few = Image.fromarray(nearest[place].reshape(height, width), "P")
    few.putpalette(kept.tobytes())
    return few


async def main() -> None:
    """Take all of them."""
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        harness = PageHarness(Path(folder), [season(), beginning("parcels")], ["orders", "parcels", "returns"])
        try:
            async with chromium(Path(folder) / "profile") as browser:
                await shoot(await browser.tab(), harness)
        finally:
            harness.stop()


if __name__ == "__main__":
    asyncio.run(main())

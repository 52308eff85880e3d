"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect, sync_playwright

EXECUTABLE = shutil.which("chromium")
TIMEOUT_MS = 60_000  # for a machine that runs other tests at the same time
DESKTOP, PHONE = (1280, 900), (390, 844)
_PHONE_WIDTH = 600

expect.set_options(timeout=TIMEOUT_MS)


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """Start a headless Chromium and stop it at the end of the block."""
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=EXECUTABLE) as browser:
        yield browser


@contextmanager
def open_page(browser: Browser, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> Iterator[Page]:
    """Open a page with storage of its own; ``size`` is width and height in CSS pixels, below 600 a phone."""
    width, height = size
    phone = width < _PHONE_WIDTH
    with browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=2 if phone else 1,
        is_mobile=phone,
        color_scheme="dark" if dark else "light",
    ) as context:
        context.set_default_timeout(TIMEOUT_MS)
        yield context.new_page()

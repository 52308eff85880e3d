"""A headless Chromium by its own DevTools protocol, over the web client that we have anyway: no driver beside it."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.helpers.eventually import assert_eventually_async

EXECUTABLE = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
"""None where there is no Chromium."""
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync",
    "--no-default-browser-check", "--force-color-profile=srgb", "--remote-debugging-port=0",
)  # fmt: skip
_START_S = 60.0
_KEYS = {
    "Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), " ": (32, " "), "ArrowLeft": (37, ""), "ArrowUp": (38, ""),
    "ArrowRight": (39, ""), "ArrowDown": (40, ""), "Home": (36, ""), "End": (35, ""),
}  # fmt: skip


_PLACE = """(async () => {
  const it = ELEMENT;
  if (!it) return null;
  it.scrollIntoView({block: "center"});
  const frame = () => new Promise((done) => requestAnimationFrame(() => done(it.getBoundingClientRect())));
  const [before, after] = [await frame(), await frame()];
  const place = {x: after.x + after.width / 2, y: after.y + after.height / 2};
  const still = before.x === after.x && before.y === after.y && before.width === after.width;
  return still && it.contains(document.elementFromPoint(place.x, place.y)) ? place : null;
})()"""
"""The middle of an element that two frames show at the same place, with nothing above it."""


class Tab:
    """A page in the browser."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self._context = context
        self.problems: list[str] = []
        """Errors that the page's console shows."""
        self.asked: list[str] = []
        """Addresses that were asked for."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._browser.call(method, parameters, self._session)

    async def close(self) -> None:
        """Forget the page, and all that it kept."""
        await self._browser.call("Target.disposeBrowserContext", {"browserContextId": self._context})

    async def evaluate(self, script: str) -> Any:
        """The value of an expression, a promise's when it is kept."""
        found = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, script: str, timeout_s: float = 60.0) -> None:
        """Wait until an expression is true."""

        async def probe() -> bool:
            return bool(await self.evaluate(f"Boolean({script})"))

        await assert_eventually_async(probe, timeout_s, script)

    async def sees(self, text: str, within: str = "body", timeout_s: float = 60.0) -> None:
        """Wait until an element shows a text."""
        await self.until(
            f"(document.querySelector({within!r})?.innerText ?? '').includes({json.dumps(text)})", timeout_s
        )

    async def open(self, address: str) -> None:
        """Go to an address; one that differs only behind its # loads nothing again."""
        await self.call("Page.navigate", url=address)
        await self.until("document.readyState === 'complete'")

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key where the focus is."""
        code, text = _KEYS.get(key, (0, key))
        what: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **what, **({"text": text} if text else {}))
        await self.call("Input.dispatchKeyEvent", type="keyUp", **what)

    async def write(self, text: str) -> None:
        """Write where the focus is."""
        await self.call("Input.insertText", text=text)

    async def click(self, script: str) -> None:
        """Click with the pointer on the element that an expression gives, once it is there, at rest and uncovered."""
        found: list[dict[str, float]] = []

        async def at_rest() -> bool:
            found[:] = filter(None, [await self.evaluate(_PLACE.replace("ELEMENT", script))])
            return bool(found)

        await assert_eventually_async(at_rest, 60.0, f"a place to click on {script}")
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **found[0])

    async def button(self, text: str, within: str = "document") -> None:
        """Click on the button that bears a text."""
        await self.click(
            f"[...{within}.querySelectorAll('button')].find((it) => it.innerText.trim() === {json.dumps(text)})"
        )

    async def look(self, *, width: int, height: int, dark: bool = False) -> None:
        """Be a screen of that size in CSS pixels; a phone where it is narrow."""
        phone = width < 600
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, path: Path) -> None:
        """Keep what the screen shows, as PNG."""
        found = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(found["data"]))

    def heard(self, method: str, parameters: dict[str, Any]) -> None:
        """Take note of what the browser says by itself."""
        if method == "Runtime.exceptionThrown":
            self.problems.append(str(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.asked.append(parameters["request"]["url"])


class Browser:
    """A browser that runs."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._heard: dict[str, Callable[[str, dict[str, Any]], None]] = {}
        self._hearing = asyncio.create_task(self._hear())

    async def call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """What the browser answers.

        Raises:
            AssertionError: it refused.
        """
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        sent = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        await self._socket.send_json(sent)
        found = await asyncio.wait_for(answer, 60)
        assert "error" not in found, f"{method}: {found.get('error')}"
        result: dict[str, Any] = found["result"]
        return result

    async def tab(self) -> Tab:
        """A new page with nothing kept from others."""
        context = (await self.call("Target.createBrowserContext", {}))["browserContextId"]
        target = await self.call("Target.createTarget", {"url": "about:blank", "browserContextId": context})
        attached = await self.call("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        tab = Tab(self, attached["sessionId"], context)
        self._heard[attached["sessionId"]] = tab.heard
        for domain in ("Page", "Runtime", "Log", "Network"):
            await tab.call(f"{domain}.enable")
        await tab.look(width=1280, height=900)
        return tab

    async def close(self) -> None:
        """Let go of the browser."""
        self._hearing.cancel()
        await self._socket.close()

    async def _hear(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if (answer := self._waiting.pop(told.get("id", 0), None)) is not None and not answer.done():
                answer.set_result(told)
            elif (hears := self._heard.get(told.get("sessionId", ""))) is not None:
                hears(told["method"], told.get("params", {}))


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    """A browser for a block; its profile is in ``folder``."""
    assert EXECUTABLE is not None
    process = await asyncio.create_subprocess_exec(
        EXECUTABLE, *_FLAGS, f"--user-data-dir={folder}", "about:blank",
        stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        address = await _address(process, folder / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(address, max_msg_size=0)
            browser = Browser(socket)
            try:
                yield browser
            finally:
                await browser.close()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 30)


async def _address(process: asyncio.subprocess.Process, file: Path) -> str:
    """Where the browser says that it listens: a port, and a path below it."""

    def read() -> list[str]:
        lines = file.read_text().splitlines() if file.exists() else []
        return lines if len(lines) == 2 else []

    async def probe() -> list[str]:
        assert process.returncode is None, f"{EXECUTABLE} ended with {process.returncode}"
        return await asyncio.to_thread(read)

    port, path = await assert_eventually_async(probe, _START_S)
    return f"ws://127.0.0.1:{port}{path}"

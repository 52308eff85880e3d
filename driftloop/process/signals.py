"""Calls that a signal's handler may ask for, whatever the interrupted code holds.

A handler runs in the main thread, between two of its bytecodes. If that thread is inside ``Event.wait`` at that moment,
it may hold the event's lock, and ``Event.set`` in the handler waits for that lock forever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


def run_on_thread(call: Callable[[], object]) -> Callable[..., None]:
    """What may be a handler, or be called by one: it returns at once, and a thread of its own makes the call."""
    asked: SimpleQueue[None] = SimpleQueue()  # its put is reentrant, as no lock's acquire is

    def make_calls() -> None:
        while True:
            asked.get()
            call()

    threading.Thread(target=make_calls, name="signals", daemon=True).start()
    return lambda *_: asked.put(None)

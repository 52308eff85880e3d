"""Signal handlers that cannot deadlock with the code they interrupt.

A handler runs in the main thread, between two bytecodes. If that thread is inside ``Event.wait``, it may hold the
event's lock. ``Event.set`` in the handler then waits for that lock forever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


def run_on_thread(call: Callable[[], object]) -> Callable[..., None]:
    """Return a signal handler that runs ``call`` on a worker thread."""
    requests: SimpleQueue[None] = SimpleQueue()  # its put is reentrant; acquiring a lock is not

    def make_calls() -> None:
        while True:
            requests.get()
            call()

    threading.Thread(target=make_calls, name="signals", daemon=True).start()
    return lambda *_: requests.put(None)

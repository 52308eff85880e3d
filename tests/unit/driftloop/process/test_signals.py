from __future__ import annotations

import threading

from driftloop.process.signals import run_on_thread


def test_the_handler_calls_once_per_signal_even_if_the_caller_holds_a_lock() -> None:
    lock, calls, made = threading.Lock(), [], threading.Semaphore(0)

    def call() -> None:
        with lock:
            calls.append(threading.current_thread().name)
        made.release()

    ask = run_on_thread(call)
    with lock:
        ask()
        ask()
    assert made.acquire(timeout=10)
    assert made.acquire(timeout=10)
    assert calls == ["signals", "signals"]

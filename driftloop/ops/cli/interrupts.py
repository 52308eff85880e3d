"""How commands react to Ctrl-C and similar signals: record them, or end at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

import click

from driftloop.process.signals import run_on_thread

INTERRUPTED = 130
"""Exit code of an interrupted command: 128 and the number of SIGINT, as shells report it."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Records signals from construction on. At most one raises KeyboardInterrupt, so clean-up always completes.

    Put `defer_signals` into its own ``finally`` inside the one that cleans up::

        try:
            try:
                interrupts.allow_interrupt()
                work()
            finally:
                interrupts.defer_signals()  # may raise for a signal that comes right now
        finally:
            undo()
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        """Set when a signal has come; code that works in steps checks it."""
        self._recorder = _Recorder(self.stop.set)
        self.defer_signals()

    def defer_signals(self) -> None:
        """Only record signals, from now on."""
        for number in _SIGNALS:
            signal.signal(number, self._recorder)

    def allow_interrupt(self) -> None:
        """Raise at once when a signal comes, from now on; raise now if one was recorded.

        Raises:
            KeyboardInterrupt: a signal has come, or comes later while the main thread works.
        """
        for number in _SIGNALS:
            signal.signal(number, self._raise)
        if self._recorder.signalled:
            self._raise()

    def exit_if_stopped(self) -> None:
        """End with the exit code of an interrupted command if a signal has come.

        Raises:
            Exit: a signal has come.
        """
        if self.stop.is_set():
            raise click.exceptions.Exit(INTERRUPTED)

    def _raise(self, *_: object) -> None:
        self.defer_signals()
        self._recorder()
        raise KeyboardInterrupt


def guard(stop: Callable[[], object]) -> AbstractContextManager[None]:
    """Return a context for calls into code where a raised KeyboardInterrupt may be lost or may leave a lock held.

    Can be entered repeatedly. Inside it, Ctrl-C calls ``stop`` on a thread; ``stop`` must end the guarded call. Leaving
    the context then raises KeyboardInterrupt. Does nothing outside the main thread: only that is interrupted.
    """
    return _Guard(stop) if threading.current_thread() is threading.main_thread() else nullcontext()


class _Guard(AbstractContextManager[None]):
    def __init__(self, stop: Callable[[], object]) -> None:
        self._recorder = _Recorder(stop)

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGINT, self._recorder)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)
        if self._recorder.signalled:
            raise KeyboardInterrupt


class _Recorder:
    """Signal handler that records the signal and makes a call on a thread."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.signalled = False
        self._call = run_on_thread(call)

    def __call__(self, *_: object) -> None:
        self.signalled = True
        self._call()

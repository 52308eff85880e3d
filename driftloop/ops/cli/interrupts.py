"""What Ctrl-C and its like do to a command: they are noted, or they end at once what is under way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from driftloop.process.signals import run_on_thread

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
        """Set as soon as a signal has come; code that works in steps checks it."""
        self._noted = _Noted(self.stop.set)
        self.defer_signals()

    def defer_signals(self) -> None:
        """From now on only record signals."""
        for number in _SIGNALS:
            signal.signal(number, self._noted)

    def allow_interrupt(self) -> None:
        """From now on a signal raises at once; a recorded one raises now.

        Raises:
            KeyboardInterrupt: one has come, or in the main thread once one comes.
        """
        for number in _SIGNALS:
            signal.signal(number, self._raise)
        if self._noted.came:
            self._raise()

    def _raise(self, *_: object) -> None:
        self.defer_signals()
        self._noted()
        raise KeyboardInterrupt


def guarded(stop: Callable[[], object]) -> AbstractContextManager[None]:
    """Guards calls into code where a raised KeyboardInterrupt may be lost or leave a lock held.

    To be entered as often as one likes: inside of it Ctrl-C asks for ``stop``, which a thread calls and which is to
    end the guarded call; leaving it raises the KeyboardInterrupt. Only a main thread is ever interrupted, so in
    another one it does nothing.
    """
    return _Guarded(stop) if threading.current_thread() is threading.main_thread() else nullcontext()


class _Guarded(AbstractContextManager[None]):
    def __init__(self, stop: Callable[[], object]) -> None:
        self._noted = _Noted(stop)

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGINT, self._noted)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)
        if self._noted.came:
            raise KeyboardInterrupt


class _Noted:
    """A handler: it notes that a signal came, and a thread makes a call."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.came = False
        self._call = run_on_thread(call)

    def __call__(self, *_: object) -> None:
        self.came = True
        self._call()

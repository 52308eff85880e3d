"""What Ctrl-C and its like do to a command: they are noted, or they end at once what is under way."""

from __future__ import annotations

import signal
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Notes signals from its making on. At most one of them ever raises, so nothing cuts an undoing short.

    Who undoes something puts `note` into a ``finally`` of its own inside of the one that undoes::

        try:
            try:
                interrupts.end()
                work()
            finally:
                interrupts.note()  # may raise for a signal that comes right now
        finally:
            undo()
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        """Set once a signal has come; whoever works in steps looks at it."""
        self.note()

    def note(self) -> None:
        """From now on a signal is noted, no more."""
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self.stop.set())

    def end(self) -> None:
        """From now on a signal ends what is under way at once; one that has come does so now.

        Raises:
            KeyboardInterrupt: one has come, or in the main thread once one comes.
        """
        for number in _SIGNALS:
            signal.signal(number, self._raise)
        if self.stop.is_set():
            self._raise()

    def _raise(self, *_: object) -> None:
        self.note()
        self.stop.set()
        raise KeyboardInterrupt

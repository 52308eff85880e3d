"""Kills the code under test at a chosen call."""

from __future__ import annotations


class Killed(BaseException):
    """The process ends here. No code catches it."""


class Fuse:
    """Raises `Killed` at its n-th spark. ``at`` None or 0: never."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.sparks = 0

    def spark(self) -> None:
        self.sparks += 1
        if self.sparks == self.at:
            raise Killed

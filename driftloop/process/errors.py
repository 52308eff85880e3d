"""Every error driftloop raises on purpose.

::

    DriftloopError
    ├── InvalidEvent          the event can never be handled: dead letter, go on
    ├── Retriable             not now: back off, handle the same event again
    ├── ConfigError           a setting is wrong: says which and what would be right
    │   └── LoopDefinitionError   a loop's files are wrong: file, line, what would be right
    ├── UndeclaredTopic       no file in protos/topics/ declares the topic
    ├── BundleError           a release's files are not what its manifest says
    └── TooManyDeadLetters    a consumer refused more than its limit in a row

Anything else that leaves a handler is a defect: the process ends, its supervisor starts it again and the
event comes again.
"""

from __future__ import annotations


class DriftloopError(Exception):
    """Base of all of them."""


class InvalidEvent(DriftloopError):
    """The event can never be handled; it goes to the dead-letter topic.

    ``reason`` is a short code that metrics and listings group by.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Retriable(DriftloopError):
    """The event cannot be handled now; the same event is tried again after a pause."""


class ConfigError(DriftloopError):
    """A setting is wrong."""


class LoopDefinitionError(ConfigError):
    """A loop's definition is wrong; ``problems`` holds one line each, as ``file:line: what``."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class UndeclaredTopic(DriftloopError):
    """The topic has no declaration."""


class BundleError(DriftloopError):
    """A bundle is incomplete, or a file differs from its digest."""


class TooManyDeadLetters(DriftloopError):
    """A consumer dead-lettered more than its limit in a row and stops."""

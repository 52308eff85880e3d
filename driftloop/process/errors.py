"""All errors that driftloop raises on purpose.

::

    DriftloopError
    ├── InvalidEvent          the event can never be handled: write a dead letter and continue
    ├── OtherLoop             the event is about a loop that this process does not run: skip it
    ├── Retriable             the event cannot be handled now: wait, then retry it
    ├── ConfigError           a setting is wrong: which one, and what to use
    │   └── LoopDefinitionError   a loop's files are wrong: file, line, and what to use
    ├── LeaseLost             another instance has taken over: the process must end
    ├── UndeclaredTopic       no file in protos/topics/ declares the topic
    ├── TopicChanged          a topic that the process reads is another one now; the process must restart
    └── BundleError           a release's files are not what its manifest says

Any other exception of a handler is a defect: the process ends, the supervisor restarts it, and the event is
delivered again.
"""

from __future__ import annotations


class DriftloopError(Exception):
    """Base class of driftloop's errors."""


class InvalidEvent(DriftloopError):
    """The event can never be handled; it goes to the dead-letter topic.

    ``reason`` is a short code that metrics and listings group by.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class OtherLoop(DriftloopError):
    """The event is about a loop that this process does not run; the runner skips and counts it."""


class Retriable(DriftloopError):
    """The event cannot be handled now; the runner retries the same event after a pause."""


class ConfigError(DriftloopError):
    """A setting is wrong."""


class LoopDefinitionError(ConfigError):
    """A loop's definition is wrong; ``problems`` holds one line each, as ``file:line: what``."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LeaseLost(DriftloopError):
    """Another instance of the service has taken over. The process must end; after its restart it is a standby."""


class UndeclaredTopic(DriftloopError):
    """The topic has no declaration."""


class TopicChanged(DriftloopError):
    """A topic that the process reads was created again, or has more partitions. The process must restart."""


class BundleError(DriftloopError):
    """A bundle is incomplete, or a file differs from its digest."""

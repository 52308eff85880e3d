"""What the registry's handlers and its mirror need from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.registry.domain.release import LoopState, Release


class Ledger(Protocol):
    """The registry's rows, within one transaction of its owner's. The only place that says who is champion."""

    def load(self, loop: str) -> LoopState:
        """A loop's state; epoch 0 and no champion where there is no row yet."""
        ...

    def knows(self, release_id: str) -> bool:
        """Whether the release has a row, ended ones included."""
        ...

    def save(self, before: LoopState, after: LoopState, touched: Sequence[Release]) -> None:
        """Compare and set: write the loop's row if its epoch is still ``before``'s, and the releases that changed.

        Raises:
            Retriable: another writer was faster.
        """
        ...

    def converged(self, loop: str, epoch: int) -> None:
        """Note the newest epoch that the router was seen to answer by."""
        ...


@dataclass(frozen=True, slots=True)
class MirrorTask:
    """A release whose copy elsewhere is older than its row."""

    loop: str
    release_id: str
    generation: int
    """Grows with each change of the row."""
    attempts: int


@dataclass(frozen=True, slots=True)
class MirroredRelease:
    """What is told of a release elsewhere."""

    release_id: str
    run_id: str
    bundle_digest: str
    bundle_uri: str
    stage: str
    epoch: int


class MirrorQueue(Protocol):
    """Releases that wait for their copy, in the registry's database. Each call is a short transaction of its own."""

    def backlog(self) -> int:
        """How many wait."""
        ...

    def next(self, now_ms: int) -> MirrorTask | None:
        """The oldest that is due at a wall time, if there is one."""
        ...

    def release(self, release_id: str) -> MirroredRelease:
        """The release as its row is now."""
        ...

    def aliases(self, loop: str) -> Mapping[str, str]:
        """Release id by alias: `champion` and `challenger`, where there is one."""
        ...

    def version(self, release_id: str) -> str:
        """The version that a copy was given; empty where it has none."""
        ...

    def keep_version(self, release_id: str, version: str) -> None:
        """Remember the version that the copy has."""
        ...

    def done(self, task: MirrorTask) -> None:
        """The copy equals the row, unless that changed meanwhile."""
        ...

    def failed(self, task: MirrorTask, retry_at_ms: int, problem: str) -> None:
        """Try again at a wall time."""
        ...


class ModelRegistry(Protocol):
    """Where the copy is. Every call may be repeated."""

    def ensure_version(self, loop: str, release: MirroredRelease, known_version: str) -> str:
        """The version of a release, made where it is missing, with its tags as they are now.

        Raises:
            Retriable: the registry does not answer, or not with success.
        """
        ...

    def set_aliases(self, loop: str, versions: Mapping[str, str]) -> None:
        """Let each alias name a version, and no other alias of ours name any.

        Raises:
            Retriable: as above.
        """
        ...

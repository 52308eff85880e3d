"""Ports of the registry's handlers and its mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.registry.domain.release import LoopReleases, ReleaseRecord


class Ledger(Protocol):
    """The registry's rows, within the caller's transaction. The only source of who is champion."""

    def load(self, loop: str) -> LoopReleases:
        """Return a loop's state, or epoch 0 without a champion if the loop has no row."""
        ...

    def has_release(self, release_id: str) -> bool:
        """Return whether the release has a row, also if it has ended."""
        ...

    def save(self, before: LoopReleases, after: LoopReleases, touched: Sequence[ReleaseRecord]) -> None:
        """Compare and set: write the loop's row if its epoch is still ``before``'s, and the changed releases.

        Raises:
            Retriable: another writer changed the epoch.
        """
        ...

    def converged(self, loop: str, epoch: int) -> None:
        """Record the newest epoch that the router serves."""
        ...


@dataclass(frozen=True, slots=True)
class MirrorTask:
    """A release whose copy is older than its row."""

    loop: str
    release_id: str
    generation: int
    """Increases with each change of the row."""
    attempts: int


@dataclass(frozen=True, slots=True)
class MirroredRelease:
    """A release as it is copied."""

    release_id: str
    run_id: str
    bundle_digest: str
    bundle_uri: str
    stage: str
    epoch: int


class MirrorQueue(Protocol):
    """The queue of releases to copy, in the registry's database. Each call is a short transaction."""

    def backlog(self) -> int:
        """Return the length of the queue."""
        ...

    def claim(self, now_ms: int, until_ms: int) -> MirrorTask | None:
        """Claim the oldest entry that is due and that no other instance works on; return it, if there is one.

        Until ``until_ms`` no other instance claims it. `done` and `failed` end the claim.
        """
        ...

    def release(self, release_id: str) -> MirroredRelease:
        """Return the release from its current row."""
        ...

    def aliases(self, loop: str) -> Mapping[str, str]:
        """Return release ids by alias: `champion` and `challenger`, if set."""
        ...

    def version(self, release_id: str) -> str:
        """Return the version of a release's copy, or an empty string."""
        ...

    def save_version(self, release_id: str, version: str) -> None:
        """Store the version of a copy."""
        ...

    def done(self, task: MirrorTask) -> None:
        """Mark the copy as equal to the row, unless the row changed meanwhile."""
        ...

    def failed(self, task: MirrorTask, retry_at_ms: int, problem: str) -> None:
        """Retry at a wall time."""
        ...


class ModelRegistry(Protocol):
    """The target of the copy. Every call may be repeated."""

    def ensure_version(self, loop: str, release: MirroredRelease, known_version: str) -> str:
        """Return the version of a release, created if missing, with current tags.

        Raises:
            Retriable: the registry does not answer, or answers with an error.
        """
        ...

    def set_aliases(self, loop: str, versions: Mapping[str, str]) -> None:
        """Point each alias to its version, and remove our other aliases.

        Raises:
            Retriable: as above.
        """
        ...

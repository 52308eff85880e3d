"""Ports of the evaluation service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from driftloop.model.labels import LabelKind
from driftloop.model.scores import Floats
from services.evaluation.domain.rollout import Evidence

Integers = NDArray[np.int64]
Objects = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained bundle."""

    release_id: str
    loop: str
    run_id: str
    bundle_uri: str
    bundle_digest: str


@dataclass(frozen=True, slots=True)
class StageEntry:
    """The newest stage of a release."""

    loop: str
    release_id: str
    stage: str
    step: int
    """Index into the policy's steps; -1 if the stage is not a rollout step."""
    epoch: int
    entered_ms: int
    """Event time."""
    champion_release_id: str
    """The champion when the stage was entered; the release is compared with it."""
    chain: str
    """Correlation id of the release's chain."""
    event_id: str
    """Id of the stage's event, which is the cause of the verdicts in it."""


@dataclass(frozen=True, slots=True)
class Block:
    """Paired sums of one block of one closed window."""

    champion_release_id: str
    challenger_release_id: str
    block_start_ms: int
    slice: str
    rows: int
    champion_loss: float
    challenger_loss: float


class State(Protocol):
    """The service's rows, within the caller's transaction."""

    def add_candidate(self, candidate: Candidate) -> None:
        """Store where a release's bundle is. Idempotent."""
        ...

    def candidate(self, release_id: str) -> Candidate | None: ...

    def enter(self, entry: StageEntry) -> bool:
        """Store a release's stage unless one of the same or a newer epoch is stored; return whether it was stored."""
        ...

    def open_stage(self, loop: str) -> StageEntry | None:
        """Return the release in shadow or canary with the newest epoch, if any."""
        ...

    def end(self, release_id: str) -> None:
        """Mark the release as no longer in a judged stage."""
        ...

    def champion(self, loop: str) -> str:
        """Return the champion's release id, or an empty string."""
        ...

    def set_champion(self, loop: str, release_id: str, epoch: int) -> None:
        """Store the champion from an epoch on (empty: no champion). An epoch that is not newer has no effect."""
        ...

    def add_blocks(self, loop: str, window_event_id: str, blocks: Sequence[Block]) -> None:
        """Store the paired sums of a window."""
        ...

    def evidence(self, entry: StageEntry) -> Evidence:
        """Return all paired sums of the entry's champion and release."""
        ...

    def evidence_ids(self, entry: StageEntry, since_ms: int | None) -> list[str]:
        """Return ids of window-closed events with paired rows, oldest first, without blocks before ``since_ms``."""
        ...


class Scorer(Protocol):
    """A verified release that can score rows."""

    @property
    def kind(self) -> LabelKind: ...

    @property
    def classes(self) -> Sequence[str]:
        """Class names that it scores; empty if the label is a number."""
        ...

    @property
    def numeric(self) -> Sequence[str]:
        """Input names in the order of the numeric matrix."""
        ...

    @property
    def categorical(self) -> Sequence[str]:
        """Input names in the order of the categorical matrix."""
        ...

    def score(self, numeric: Floats, categorical: Objects) -> Floats:
        """Return scores, float64 [n], or [n, K] with K classes.

        ``numeric`` is float64 [n, F], NaN if missing; ``categorical`` is str [n, C], empty if missing.

        Raises:
            BundleError: the model refuses them.
        """
        ...

    def golden_difference(self) -> float:
        """Return the largest difference of golden and model scores, relative to max(1, |score|).

        A score that is not a number counts as infinity.

        Raises:
            BundleError: there is no golden sample, or the model refuses it.
        """
        ...


class Bundles(Protocol):
    """A store of bundles."""

    def open(self, uri: str, digest: str) -> Scorer:
        """Verify every digest and load the model.

        Raises:
            BundleError: a file is missing, differs, or is not a model.
        """
        ...


class Holdout(Protocol):
    """Rows held out of training."""

    @property
    def label(self) -> Floats: ...

    @property
    def score(self) -> Floats:
        """The training run's score of each row, float64 [n], or [n, K] with K classes."""
        ...

    @property
    def decision_time_ms(self) -> Integers: ...

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return those names that are not a column."""
        ...

    def numeric(self, names: Sequence[str]) -> Floats:
        """Return floats [n, F], NaN if missing."""
        ...

    def categorical(self, names: Sequence[str]) -> Objects:
        """Return strings [n, C], empty if missing."""
        ...


class Holdouts(Protocol):
    """A store of holdouts."""

    def read(self, uri: str) -> Holdout:
        """Read one.

        Raises:
            BundleError: it is missing, is not a Parquet file, or lacks label, score or decision_time_ms.
        """
        ...

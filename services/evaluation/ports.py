"""What the evaluation's handlers need from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from driftloop.model.losses import LabelKind
from services.evaluation.domain.rollout import Evidence

Floats = NDArray[np.float64]
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
    """Who it is compared with: the champion when the stage was entered."""
    chain: str
    """Correlation id of the release's chain."""
    event_id: str
    """The event that told of the stage: the cause of the verdicts in it."""


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
    """The service's rows, within one transaction of its owner's."""

    def add_candidate(self, candidate: Candidate) -> None:
        """Keep where a release's bundle is; again is a no-op."""
        ...

    def candidate(self, release_id: str) -> Candidate | None: ...

    def enter(self, entry: StageEntry) -> bool:
        """Note a release's stage, unless one of its epoch or a newer one stands; says whether it was noted."""
        ...

    def open_stage(self, loop: str) -> StageEntry | None:
        """The release in shadow or canary with the newest epoch, if there is one."""
        ...

    def end(self, release_id: str) -> None:
        """The release is in no stage that is judged any more."""
        ...

    def champion(self, loop: str) -> str:
        """The champion's release id; empty where there is none."""
        ...

    def set_champion(self, loop: str, release_id: str, epoch: int) -> None:
        """Note who is champion from an epoch on (empty: nobody); an epoch that is not newer is a no-op."""
        ...

    def add_blocks(self, loop: str, window_event_id: str, blocks: Sequence[Block]) -> None:
        """Keep the paired sums of a window."""
        ...

    def evidence(self, entry: StageEntry) -> Evidence:
        """All paired sums of the entry's champion and release."""
        ...

    def evidence_ids(self, entry: StageEntry, since_ms: int | None) -> list[str]:
        """Ids of the window-closed events with paired rows, oldest first; blocks before ``since_ms`` are left out."""
        ...


class Scorer(Protocol):
    """A verified release that can be asked."""

    @property
    def kind(self) -> LabelKind: ...

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes that it scores; none where the label is a number."""
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
        """Scores float64 [n], or [n, K] of K classes.

        ``numeric`` is float64 [n, F], NaN where missing; ``categorical`` is str [n, C], empty where missing.

        Raises:
            BundleError: the model refuses them.
        """
        ...

    def golden_difference(self) -> float:
        """Largest difference between the golden sample's scores and the model's, relative to max(1, |score|).

        A score that is not a number counts as infinity.

        Raises:
            BundleError: there is no golden sample, or the model refuses it.
        """
        ...


class Bundles(Protocol):
    """Where releases are read from."""

    def open(self, uri: str, digest: str) -> Scorer:
        """Verify every digest and load the model.

        Raises:
            BundleError: a file is missing, differs, or is no model.
        """
        ...


class Holdout(Protocol):
    """Rows held out of training."""

    @property
    def label(self) -> Floats: ...

    @property
    def score(self) -> Floats:
        """What the training run said that the candidate makes of each row, float64 [n], or [n, K] of K classes."""
        ...

    @property
    def decision_time_ms(self) -> Integers: ...

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those names that are no column."""
        ...

    def numeric(self, names: Sequence[str]) -> Floats:
        """Floats [n, F], NaN where there is no value."""
        ...

    def categorical(self, names: Sequence[str]) -> Objects:
        """Strings [n, C], empty where there is no value."""
        ...


class Holdouts(Protocol):
    """Where they are read from."""

    def read(self, uri: str) -> Holdout:
        """Read one.

        Raises:
            BundleError: it is missing, is no Parquet file or lacks label, score or decision_time_ms.
        """
        ...

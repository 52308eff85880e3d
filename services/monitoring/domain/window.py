"""Summaries of one closed window: sums by release, paired losses, histograms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from driftloop.model.labels import LabelKind
from driftloop.model.losses import losses, top_label
from driftloop.model.slices import slice_text
from services.monitoring.domain.join import JoinCounts, JoinResult
from services.monitoring.domain.psi import Histogram, Reference, categorical_histogram, histogram
from services.monitoring.domain.rows import JoinedRow, Pair, Prediction, ReleaseScore


@dataclass(frozen=True, slots=True)
class SliceRule:
    """An input that slices quality; each window keeps its ``max_values`` most frequent values."""

    name: str
    input: str
    max_values: int


@dataclass(frozen=True, slots=True)
class ReleaseSums:
    """Sums over the joined predictions that one release scored. The residual is score minus outcome.

    With several classes the score is the probability of the likeliest class, and the outcome is 1 if that class is the
    true one, else 0.
    """

    release_id: str
    role: str
    count: int
    loss: float
    score: float
    outcome: float
    residual: float
    residual_square: float
    answered: int


@dataclass(frozen=True, slots=True)
class PairedSums:
    """Losses of champion and challenger on the same joined predictions; ``slice`` is empty or ``name=value``."""

    champion: str
    challenger: str
    slice: str
    count: int
    champion_loss: float
    challenger_loss: float


@dataclass(frozen=True, slots=True)
class SliceSums:
    """Sums over the joined predictions of one slice that a champion scored; see `ReleaseSums`."""

    release_id: str
    slice: str
    """``name=value``; empty for all rows that it scored as champion."""
    count: int
    loss: float
    score: float
    outcome: float


@dataclass(frozen=True, slots=True)
class Window:
    """A closed window ``[start_ms, end_ms)``."""

    start_ms: int
    end_ms: int
    champion: str
    predictions: int
    joins: JoinCounts
    releases: tuple[ReleaseSums, ...]
    paired: tuple[PairedSums, ...]
    histograms: tuple[Histogram, ...]
    slices: tuple[SliceSums, ...] = ()


def summarize(
    joined: JoinResult,
    span: tuple[int, int],
    *,
    kind: LabelKind,
    slices: Sequence[SliceRule],
    references: Mapping[str, Reference],
) -> Window:
    """Return the summary of the window ``[start, end)``. ``references`` has the releases whose grid is known."""
    return Window(
        start_ms=span[0],
        end_ms=span[1],
        champion=joined.predictions[-1].champion if joined.predictions else "",
        predictions=len(joined.predictions),
        joins=joined.counts,
        releases=_release_sums(joined, kind),
        paired=_paired_sums(joined.pairs, kind, slices, references),
        histograms=_histograms(joined.predictions, references),
        slices=_slice_sums(joined.pairs, kind, slices, references),
    )


@dataclass(frozen=True, slots=True)
class RestatedWindow:
    """A closed window whose outcomes were corrected."""

    start_ms: int
    end_ms: int
    before: tuple[ReleaseSums, ...]
    after: tuple[ReleaseSums, ...]
    corrections: int
    """Number of outcomes with another value."""


def restate(before: Sequence[ReleaseSums], rows: Sequence[JoinedRow], kind: LabelKind) -> tuple[ReleaseSums, ...]:
    """Return the sums of a closed window, computed again from ``rows`` with the corrected values.

    ``rows`` are in the order of the first sums, because the order of a float sum changes its last bits. So the result
    is bit for bit that of a window that closed with these values.
    """
    by_release: dict[str, list[_Row]] = {sums.release_id: [] for sums in before}
    for row in rows:
        for score in row.scores:
            by_release[score.release_id].append((score.scores, row.value))
    return tuple(_sums(sums.release_id, sums.role, by_release[sums.release_id], sums.answered, kind) for sums in before)


def _release_sums(joined: JoinResult, kind: LabelKind) -> tuple[ReleaseSums, ...]:
    answered = Counter(prediction.release_id for prediction in joined.predictions)
    roles: dict[str, str] = {}
    rows: dict[str, list[_Row]] = {name: [] for name in answered}
    for pair in joined.pairs:
        for score in pair.prediction.scores:
            rows.setdefault(score.release_id, []).append((score.scores, pair.outcome.value))
    scored = (*(pair.prediction for pair in joined.pairs), *joined.predictions)
    for prediction in sorted(scored, key=lambda row: row.order):
        roles |= {score.release_id: score.role for score in prediction.scores}
    return tuple(_sums(name, roles.get(name, ""), rows[name], answered[name], kind) for name in sorted(rows))


_Row = tuple[float | tuple[float, ...], float]
"""The scores of a release for one prediction, and its outcome."""


def _sums(release: str, role: str, rows: Sequence[_Row], answered: int, kind: LabelKind) -> ReleaseSums:
    if not rows:
        return ReleaseSums(release, role, 0, 0.0, 0.0, 0.0, 0.0, 0.0, answered)
    scores = np.array([score for score, _ in rows], dtype=np.float64)
    label = np.array([value for _, value in rows], dtype=np.float64)
    score, outcome = top_label(kind, scores, label)
    residual = score - outcome
    return ReleaseSums(
        release_id=release,
        role=role,
        count=len(rows),
        loss=float(losses(kind, scores, label).sum()),
        score=float(score.sum()),
        outcome=float(outcome.sum()),
        residual=float(residual.sum()),
        residual_square=float((residual**2).sum()),
        answered=answered,
    )


@dataclass(frozen=True, slots=True)
class _SharedRow:
    """A joined prediction that champion and challenger scored."""

    prediction: Prediction
    champion: ReleaseScore
    challenger: ReleaseScore
    outcome: float


def _paired_sums(
    pairs: Iterable[Pair], kind: LabelKind, slices: Sequence[SliceRule], references: Mapping[str, Reference]
) -> tuple[PairedSums, ...]:
    groups: dict[tuple[str, str], list[_SharedRow]] = {}
    for pair in pairs:
        roles = {score.role: score for score in pair.prediction.scores}
        if {"champion", "challenger"} <= roles.keys():
            champion, challenger = roles["champion"], roles["challenger"]
            row = _SharedRow(pair.prediction, champion, challenger, pair.outcome.value)
            groups.setdefault((champion.release_id, challenger.release_id), []).append(row)
    return tuple(
        _pair_sum(names, label, part, kind)
        for names, rows in sorted(groups.items())
        for label, part in _parts(rows, slices, references)
    )


def _parts(
    rows: list[_SharedRow], slices: Sequence[SliceRule], references: Mapping[str, Reference]
) -> list[tuple[str, list[_SharedRow]]]:
    """Return all rows, then the rows of each slice."""
    indices = slice_rows([row.prediction for row in rows], slices, references)
    return [("", rows), *((name, [rows[index] for index in found]) for name, found in indices)]


def slice_rows(
    rows: Sequence[Prediction], slices: Sequence[SliceRule], references: Mapping[str, Reference]
) -> list[tuple[str, list[int]]]:
    """Return the indices of the rows of each slice, in order of name; ``name=value`` by slice."""
    found = []
    for rule in sorted(slices, key=lambda rule: rule.name):
        by_value: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            value = input_value(row, rule.input, references.get(row.release_id))
            if value is not None:
                by_value.setdefault(value, []).append(index)
        common = sorted(by_value, key=lambda value: (-len(by_value[value]), value))[: rule.max_values]
        found += [(f"{rule.name}={value}", by_value[value]) for value in sorted(common)]
    return found


def input_value(prediction: Prediction, name: str, reference: Reference | None) -> str | None:
    """Return an input as text, or None if it was not logged, or in another order of inputs."""
    if name in prediction.sliced:
        return prediction.sliced[name]
    if reference is None or not reference.describes(prediction):
        return None
    if name in reference.categorical:
        return prediction.categorical[reference.categorical.index(name)]
    if name in reference.numeric:
        return slice_text(float(prediction.numeric[reference.numeric.index(name)]))
    return None


def _slice_sums(
    pairs: Sequence[Pair], kind: LabelKind, slices: Sequence[SliceRule], references: Mapping[str, Reference]
) -> tuple[SliceSums, ...]:
    """Return the sums of all rows, then of each slice, by the champion that scored them; nothing without slices."""
    if not slices:
        return ()
    rows: dict[str, list[tuple[Pair, ReleaseScore]]] = {}
    for pair in pairs:
        for score in pair.prediction.scores:
            if score.role == "champion":
                rows.setdefault(score.release_id, []).append((pair, score))
    return tuple(
        sums
        for release, scored in sorted(rows.items())
        for sums in _release_slices(release, scored, kind, slices, references)
    )


def _release_slices(
    release: str,
    scored: Sequence[tuple[Pair, ReleaseScore]],
    kind: LabelKind,
    slices: Sequence[SliceRule],
    references: Mapping[str, Reference],
) -> list[SliceSums]:
    scores = np.array([score.scores for _, score in scored], dtype=np.float64)
    label = np.array([pair.outcome.value for pair, _ in scored], dtype=np.float64)
    loss, (score, outcome) = losses(kind, scores, label), top_label(kind, scores, label)
    by_slice = slice_rows([pair.prediction for pair, _ in scored], slices, references)
    return [
        SliceSums(
            release, name, len(rows), float(loss[rows].sum()), float(score[rows].sum()), float(outcome[rows].sum())
        )
        for name, rows in [("", [*range(len(scored))]), *by_slice]
    ]


def _pair_sum(names: tuple[str, str], label: str, rows: Sequence[_SharedRow], kind: LabelKind) -> PairedSums:
    outcome = np.array([row.outcome for row in rows])
    champion = losses(kind, np.array([row.champion.scores for row in rows]), outcome)
    challenger = losses(kind, np.array([row.challenger.scores for row in rows]), outcome)
    return PairedSums(*names, label, len(rows), float(champion.sum()), float(challenger.sum()))


def _histograms(rows: Sequence[Prediction], references: Mapping[str, Reference]) -> tuple[Histogram, ...]:
    histograms: list[Histogram] = []
    for release in sorted({score.release_id for row in rows for score in row.scores}):
        if release in references:
            histograms += _release_histograms(rows, references[release])
    return tuple(histograms)


def _release_histograms(rows: Sequence[Prediction], reference: Reference) -> list[Histogram]:
    """Return histograms: inputs over the rows that the release answered, scores over all rows that it scored."""
    release = reference.release_id
    answered = [row for row in rows if row.release_id == release and reference.describes(row)]
    numeric = np.array([row.numeric for row in answered], dtype=np.float64).reshape(
        len(answered), len(reference.numeric)
    )
    histograms = [
        histogram(release, name, reference.inputs[name], numeric[:, column])
        for column, name in enumerate(reference.numeric)
        if answered and name in reference.inputs
    ]
    histograms += [
        categorical_histogram(release, name, reference.categories[name], [row.categorical[column] for row in answered])
        for column, name in enumerate(reference.categorical)
        if answered and name in reference.categories
    ]
    if reference.score is not None:
        scores = np.array([score.score for row in rows for score in row.scores if score.release_id == release])
        histograms.append(histogram(release, "score", reference.score, scores))
    return histograms

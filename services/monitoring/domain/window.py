"""Summaries of one closed window: sums by release, paired losses, histograms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from driftloop.model.losses import LabelKind, losses, top_label
from services.monitoring.domain.grid import Histogram, Reference, histogram
from services.monitoring.domain.join import JoinCounts, Joined
from services.monitoring.domain.rows import JoinedRow, Pair, Prediction, ReleaseScore


@dataclass(frozen=True, slots=True)
class SliceRule:
    """A model input that slices paired losses; each window keeps its ``max_values`` most frequent values."""

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


def summarize(
    joined: Joined,
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
    )


@dataclass(frozen=True, slots=True)
class Restated:
    """A closed window whose outcomes were corrected."""

    start_ms: int
    end_ms: int
    before: tuple[ReleaseSums, ...]
    after: tuple[ReleaseSums, ...]
    corrections: int
    """Number of outcomes with another value."""


def restate(before: Sequence[ReleaseSums], rows: Sequence[JoinedRow], kind: LabelKind) -> tuple[ReleaseSums, ...]:
    """Return the sums of a closed window over its rows, in the order of its pairs, with the corrected values.

    They equal, to the last bit, the sums of a window that closed with these values.
    """
    by_release: dict[str, list[_Row]] = {each.release_id: [] for each in before}
    for row in rows:
        for score in row.scores:
            by_release[score.release_id].append((score.scores, row.value))
    return tuple(_sums(each.release_id, each.role, by_release[each.release_id], each.answered, kind) for each in before)


def _release_sums(joined: Joined, kind: LabelKind) -> tuple[ReleaseSums, ...]:
    answered = Counter(each.release_id for each in joined.predictions)
    roles: dict[str, str] = {}
    rows: dict[str, list[_Row]] = {name: [] for name in answered}
    for pair in joined.pairs:
        for score in pair.prediction.scores:
            rows.setdefault(score.release_id, []).append((score.scores, pair.outcome.value))
    scored = (*(pair.prediction for pair in joined.pairs), *joined.predictions)
    for prediction in sorted(scored, key=lambda row: row.order):
        roles |= {each.release_id: each.role for each in prediction.scores}
    return tuple(_sums(name, roles.get(name, ""), rows[name], answered[name], kind) for name in sorted(rows))


_Row = tuple[float | tuple[float, ...], float]
"""The scores of a release for one prediction, and its outcome."""


def _sums(release: str, role: str, rows: Sequence[_Row], answered: int, kind: LabelKind) -> ReleaseSums:
    if not rows:
        return ReleaseSums(release, role, 0, 0.0, 0.0, 0.0, 0.0, 0.0, answered)
    scores = np.array([said for said, _ in rows], dtype=np.float64)
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
class _Both:
    """A joined prediction that champion and challenger scored."""

    prediction: Prediction
    champion: ReleaseScore
    challenger: ReleaseScore
    outcome: float


def _paired_sums(
    pairs: Iterable[Pair], kind: LabelKind, slices: Sequence[SliceRule], references: Mapping[str, Reference]
) -> tuple[PairedSums, ...]:
    groups: dict[tuple[str, str], list[_Both]] = {}
    for pair in pairs:
        roles = {each.role: each for each in pair.prediction.scores}
        if {"champion", "challenger"} <= roles.keys():
            champion, challenger = roles["champion"], roles["challenger"]
            row = _Both(pair.prediction, champion, challenger, pair.outcome.value)
            groups.setdefault((champion.release_id, challenger.release_id), []).append(row)
    return tuple(
        _pair_sum(names, label, part, kind)
        for names, rows in sorted(groups.items())
        for label, part in _parts(rows, slices, references)
    )


def _parts(
    rows: list[_Both], slices: Sequence[SliceRule], references: Mapping[str, Reference]
) -> list[tuple[str, list[_Both]]]:
    """Return all rows, then the rows of each slice."""
    parts = [("", rows)]
    for rule in sorted(slices, key=lambda each: each.name):
        by_value: dict[str, list[_Both]] = {}
        for row in rows:
            value = input_value(row.prediction, rule.input, references.get(row.prediction.release_id))
            if value is not None:
                by_value.setdefault(value, []).append(row)
        common = sorted(by_value, key=lambda value: (-len(by_value[value]), value))[: rule.max_values]
        parts += [(f"{rule.name}={value}", by_value[value]) for value in sorted(common)]
    return parts


def input_value(prediction: Prediction, name: str, reference: Reference | None) -> str | None:
    """Return a model input as text, or None if the model does not have it or logged another order of inputs."""
    if reference is None or not reference.describes(prediction):
        return None
    if name in reference.categorical:
        return prediction.categorical[reference.categorical.index(name)]
    if name in reference.numeric:
        return f"{prediction.numeric[reference.numeric.index(name)]:g}"
    return None


def _pair_sum(names: tuple[str, str], label: str, rows: Sequence[_Both], kind: LabelKind) -> PairedSums:
    outcome = np.array([each.outcome for each in rows])
    champion = losses(kind, np.array([each.champion.scores for each in rows]), outcome)
    challenger = losses(kind, np.array([each.challenger.scores for each in rows]), outcome)
    return PairedSums(*names, label, len(rows), float(champion.sum()), float(challenger.sum()))


def _histograms(rows: Sequence[Prediction], references: Mapping[str, Reference]) -> tuple[Histogram, ...]:
    found: list[Histogram] = []
    for release in sorted({each.release_id for row in rows for each in row.scores}):
        if release in references:
            found += _release_histograms(rows, references[release])
    return tuple(found)


def _release_histograms(rows: Sequence[Prediction], reference: Reference) -> list[Histogram]:
    """Return histograms: inputs over the rows that the release answered, scores over all rows that it scored."""
    release = reference.release_id
    answered = [row.numeric for row in rows if row.release_id == release and reference.describes(row)]
    table = np.array(answered, dtype=np.float64).reshape(len(answered), len(reference.numeric))
    found = [
        histogram(release, name, reference.inputs[name], table[:, place])
        for place, name in enumerate(reference.numeric)
        if len(answered) and name in reference.inputs
    ]
    if reference.score is not None:
        scores = np.array([each.score for row in rows for each in row.scores if each.release_id == release])
        found.append(histogram(release, "score", reference.score, scores))
    return found

"""What a reader of a model card must know before using its numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_NOTABLE_SHARE = 0.05
"""Of missing inputs, over what training had."""
_NOTABLE_ERRORS = 3.0
"""Standard errors of the mean residual from 0."""


def caveats(card: dict[str, Any]) -> list[str]:
    """Sentences, each true of this card and resting on its numbers."""
    return [
        sentence
        for part in (_unknown, _origin, _evidence, _outcomes, _calibration, _inputs, _slices)
        for sentence in part(card)
    ]


def _unknown(card: dict[str, Any]) -> Iterator[str]:
    if card["bundle"]["problem"]:
        yield f"The bundle could not be read: {card['bundle']['problem']}. Parameters, inputs and digests stand in it."
    if card["intended_use"] is None:
        yield "No definition of the loop is here, so its intended use is not told."
    yield (
        "Groups other than the slices above were not looked at, and nobody has written down ethical considerations: "
        "neither events nor the bundle hold any."
    )


def _origin(card: dict[str, Any]) -> Iterator[str]:
    if card["details"].get("imported_from"):
        yield (
            "It was trained elsewhere: its data and its code are not told here, and if rows that judged it were among "
            "its training data, its loss on them is too low."
        )


def _evidence(card: dict[str, Any]) -> Iterator[str]:
    on_requests = [each for each in card["verdicts"] if each["stage"] != "offline" and each["blocks"]]
    if not on_requests:
        yield "No verdict compared it with another release on live requests."
    if card["verdicts"] and card["verdicts"][-1]["limit_reached"]:
        yield "Its last verdict came at the stage's limit: no difference was clear by then."
    for row in card["production"]["phases"]:
        if row["paired_rows"] and row["paired_loss"] > row["paired_other_loss"]:
            others, rows = ", ".join(row["paired_with"]), f"{row['paired_rows']:,} rows"
            losses = f"{row['paired_loss']:.4f} against {row['paired_other_loss']:.4f} over {rows}"
            yield f"As {row['stage']} its mean loss on shared requests was above that of {others}: {losses}."


def _outcomes(card: dict[str, Any]) -> Iterator[str]:
    seen = card["outcomes"]
    predictions = seen.get("joined", 0) + seen.get("missing", 0)
    if not predictions:
        yield "No prediction that it made as champion has an outcome or a passed horizon yet."
    elif seen["missing"]:
        share = seen["missing"] / predictions
        yield (
            f"{seen['missing']:,} of {predictions:,} predictions while it was champion ({share:.1%}) had no outcome "
            f"within the horizon, and {seen['late']:,} outcomes came after it: none of them is in a loss."
        )


def _calibration(card: dict[str, Any]) -> Iterator[str]:
    found = card["calibration"]
    if found and found["standard_errors"] > _NOTABLE_ERRORS:
        yield (
            f"As champion its scores are off by {found['residual']:+.4f} on average, "
            f"{found['standard_errors']:.1f} standard errors from 0 over {found['windows']} windows."
        )


def _inputs(card: dict[str, Any]) -> Iterator[str]:
    yield (
        "A view that was too old when a request came reads as missing inputs. Which views those were stands in "
        "predictions.served, which is kept for 7 days, and not in the log that this card is made of."
    )
    worse = {
        name: each
        for name, each in card["missing_inputs"].items()
        if each["training"] is not None and each["production"] > each["training"] + _NOTABLE_SHARE
    }
    for name, each in sorted(worse.items(), key=lambda item: -float(item[1]["production"]))[:5]:
        yield f"{name} was missing in {each['production']:.1%} of its answers, in training in {each['training']:.1%}."


def _slices(card: dict[str, Any]) -> Iterator[str]:
    worse = [f"{each['name']} ({each['rows']:,} rows)" for each in card["slices"] if each["upper"] < 0]
    if worse:
        yield f"It is clearly worse than the other release for {', '.join(worse)}."
    if card["slices"]:
        yield "The slices' intervals are each of their own level: among many, some part from 0 by chance."

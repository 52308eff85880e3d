"""What a reader must know before using the numbers of a model card. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_NOTABLE_SHARE = 0.05
"""Notable difference between the shares of missing inputs in production and in training."""
_NOTABLE_ERRORS = 3.0
"""Notable distance of the mean residual from 0, in standard errors."""


def caveats(card: dict[str, Any]) -> list[str]:
    """Return sentences that follow from the numbers of the card."""
    return [
        sentence
        for part in (_unknown, _origin, _evidence, _outcomes, _calibration, _inputs, _slices)
        for sentence in part(card)
    ]


def _unknown(card: dict[str, Any]) -> Iterator[str]:
    if card["bundle"]["problem"]:
        yield f"The bundle could not be read: {card['bundle']['problem']}. It has the parameters, inputs and digests."
    if card["intended_use"] is None:
        yield "The loop is not defined here, so its intended use is not known."
    yield (
        "Groups other than the slices above were not evaluated. Events and bundle have no field for ethical "
        "considerations."
    )


def _origin(card: dict[str, Any]) -> Iterator[str]:
    if card["details"].get("imported_from"):
        yield (
            "It was trained elsewhere, so its data and code are not known. If rows of its verdicts were in its "
            "training data, its loss on them is too low."
        )


def _evidence(card: dict[str, Any]) -> Iterator[str]:
    on_requests = [verdict for verdict in card["verdicts"] if verdict["stage"] != "offline" and verdict["blocks"]]
    if not on_requests:
        yield "No verdict compared it with another release on live requests."
    if card["verdicts"] and card["verdicts"][-1]["limit_reached"]:
        yield "Its last verdict came at the limit of the stage, without a clear difference."
    for row in card["production"]["phases"]:
        if row["paired_rows"] and row["paired_loss"] > row["paired_other_loss"]:
            others, rows = ", ".join(row["paired_with"]), f"{row['paired_rows']:,} rows"
            losses = f"{row['paired_loss']:.4f} against {row['paired_other_loss']:.4f} over {rows}"
            yield f"As {row['stage']} its mean loss on shared requests was above that of {others}: {losses}."


def _outcomes(card: dict[str, Any]) -> Iterator[str]:
    outcomes = card["outcomes"]
    predictions = outcomes.get("joined", 0) + outcomes.get("missing", 0)
    if not predictions:
        yield "No prediction that it made as champion has an outcome or a passed horizon yet."
    elif outcomes["missing"]:
        share = outcomes["missing"] / predictions
        yield (
            f"{outcomes['missing']:,} of {predictions:,} predictions while it was champion ({share:.1%}) had no "
            f"outcome within the horizon, and {outcomes['late']:,} outcomes came later. None of them is in a loss."
        )


def _calibration(card: dict[str, Any]) -> Iterator[str]:
    calibration = card["calibration"]
    if calibration and calibration["standard_errors"] > _NOTABLE_ERRORS:
        yield (
            f"As champion its scores are off by {calibration['residual']:+.4f} on average, "
            f"{calibration['standard_errors']:.1f} standard errors from 0 over {calibration['windows']} windows."
        )


def _inputs(card: dict[str, Any]) -> Iterator[str]:
    yield (
        "The inputs of a view that was too old at a request count as missing. The names of such views are in "
        "predictions.served for 7 days, and not in the log from which this card is made."
    )
    worse = {
        name: shares
        for name, shares in card["missing_inputs"].items()
        if shares["training"] is not None and shares["production"] > shares["training"] + _NOTABLE_SHARE
    }
    for name, shares in sorted(worse.items(), key=lambda item: -float(item[1]["production"]))[:5]:
        production, training = shares["production"], shares["training"]
        yield f"{name} was missing in {production:.1%} of its answers, in training in {training:.1%}."


def _slices(card: dict[str, Any]) -> Iterator[str]:
    worse = [f"{slice_['name']} ({slice_['rows']:,} rows)" for slice_ in card["slices"] if slice_["upper"] < 0]
    if worse:
        yield f"It is clearly worse than the other release for {', '.join(worse)}."
    if card["slices"]:
        yield "The level of an interval is for one slice: of many slices, some differ from 0 by chance."

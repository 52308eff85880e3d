"""The page of a release: its model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftloop.ops.kpis.format import span
from driftloop.ops.report import figures, releases
from driftloop.ops.report.page import page
from driftloop.readmodel.loop_history import LoopHistory

_LOSSES = {
    "binary": "The loss is log loss in nats.",
    "regression": "The loss is squared error.",
    "count": "The loss is unit Poisson deviance.",
    "multiclass": "The loss is log loss over the classes in nats.",
}

Facts = list[tuple[str, str]]

_IN_BUNDLE = "not known: only the bundle has it"


def release_page(card: dict[str, Any], history: LoopHistory) -> str:
    """Return the page. ``card`` is that of the same history."""
    marks = figures.marks_of(event for event in history.events.values() if _is_about(event.data, card))
    compared = _compared(card["release"], releases.quality(history))
    judged = [{"id": card["release"], "verdicts": card["verdicts"]}]
    return page(
        "release.html.j2",
        card=card,
        details=_details(card),
        metrics=[(name, f"{value:.4f}") for name, value in sorted(card["training"].get("metrics", {}).items())],
        training=_training(card["training"]),
        inputs=_inputs(card["training"]),
        loss=_LOSSES.get(
            card["details"].get("label_kind") or "", "Only the bundle names the loss, and it could not be read."
        ),
        figures={
            "loss": figures.loss_over_time(compared, marks),
            "calibration": figures.calibration(compared, marks),
            "verdicts": figures.verdicts(judged) if any(verdict["blocks"] for verdict in card["verdicts"]) else None,
            "slices": figures.slices(card["slices"]) if card["slices"] else None,
        },
    )


def _is_about(data: Any, card: dict[str, Any]) -> bool:
    run = card["details"].get("run")
    names = {getattr(data, "release_id", ""), getattr(data, "run_id", "")} - {""}
    return not names.isdisjoint({card["release"], run})


def _compared(release_id: str, quality: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the quality of all releases in the windows of this one."""
    ends = {row["window_end"] for row in quality if row["release"] == release_id}
    return [row for row in quality if row["window_end"] in ends]


def _details(card: dict[str, Any]) -> Facts:
    details, bundle = card["details"], card["bundle"]
    if "run" not in details:
        return [("made by", "not known: no event names the run that made it")]
    by = f"run {details['run']}, for request {details['request']} (MLflow run {details['mlflow_run'] or '-'})"
    took, wall = span(details["training_s"]), details["trained_wall_time"][:16].replace("T", " ")
    intact = "yes: every file has the digest in its manifest"
    return [
        ("made by", by),
        ("requested by", "; ".join(_reason(reason) for reason in details["asked_for_by"]) or "-"),
        ("trained", f"at event time {details['trained_at'][:10]}, in {took}; wall time {wall}"),
        ("kind of outcome", details["label_kind"] or _IN_BUNDLE),
        ("trainer", _trainer(details)),
        ("feature service", bundle.get("feature_service") or _IN_BUNDLE),
        ("bundle", details["bundle_uri"]),
        ("bundle's digest", details["bundle_digest"]),
        ("bundle read", f"no: {bundle['problem']}" if bundle["problem"] else intact),
        (
            "user commands",
            "; ".join(f"{command['who']}: {command['why']}" for command in details["commands"]) or "none",
        ),
    ]


def _trainer(details: dict[str, Any]) -> str:
    if details["imported_from"]:
        return f"none: imported from {details['imported_from']}"
    return details["trainer"] or _IN_BUNDLE


def _reason(reason: dict[str, str]) -> str:
    return ": ".join(part for part in (reason["kind"], reason["detail"]) if part)


def _training(training: dict[str, Any]) -> Facts:
    if not training:
        return [("data", "not known: no event names the run")]
    rows = [
        ("window", f"{training['window']['start'][:16]} to {training['window']['end'][:16]}".replace("T", " ")),
        ("rows", f"{training['rows']:,}"),
        ("held out for validation", _number(training["validation_rows"])),
        ("seed", f"{training['seed']}"),
        ("lake versions", _pairs(training["lake_versions"])),
        ("view versions", _pairs(training["view_versions"])),
        ("parameters", _pairs(training["parameters"])),
        ("digest of the code", training["code_sha256"]),
        ("digest of the environment", training["environment_sha256"]),
        ("digest of the rows", training["frame_sha256"]),
    ]
    return [(name, value or _IN_BUNDLE) for name, value in rows]


def _inputs(training: dict[str, Any]) -> list[str]:
    return [*(training.get("numeric_inputs") or ()), *(training.get("categorical_inputs") or ())]


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _pairs(values: dict[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted((values or {}).items()))

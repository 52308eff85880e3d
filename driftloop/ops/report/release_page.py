"""The page of a release: its model card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from driftloop.events.envelope import Envelope
from driftloop.ops.kpis.format import span
from driftloop.ops.report import figures, releases
from driftloop.ops.report.page import page
from driftloop.readmodel.attempts import of_loop

_LOSSES = {
    "binary": "The loss is log loss in nats.",
    "regression": "The loss is squared error.",
    "count": "The loss is unit Poisson deviance.",
    "multiclass": "The loss is log loss over the classes in nats.",
}

Facts = list[tuple[str, str]]

_ELSEWHERE = "not known: it stands in the bundle"


def release_page(told: dict[str, Any], events: Sequence[Envelope[Any]]) -> str:
    """The page; ``told`` is the release's `card` of the same events."""
    own = of_loop(events, told["loop"])
    marks = figures.marks_of(event for event in own if _is_about(event.data, told))
    beside = _beside(told["release"], releases.quality(own))
    judged = [{"id": told["release"], "verdicts": told["verdicts"]}]
    return page(
        "release.html.j2",
        told=told,
        details=_details(told),
        metrics=[(name, f"{value:.4f}") for name, value in sorted(told["training"].get("metrics", {}).items())],
        training=_training(told["training"]),
        inputs=_inputs(told["training"]),
        loss=_LOSSES.get(
            told["details"].get("label_kind") or "", "Which loss it is stands in the bundle, which could not be read."
        ),
        figures={
            "loss": figures.loss_over_time(beside, marks),
            "calibration": figures.calibration(beside, marks),
            "verdicts": figures.verdicts(judged) if any(each["blocks"] for each in told["verdicts"]) else None,
            "slices": figures.slices(told["slices"]) if told["slices"] else None,
        },
    )


def _is_about(data: Any, told: dict[str, Any]) -> bool:
    run = told["details"].get("run")
    names = {getattr(data, "release_id", ""), getattr(data, "run_id", "")} - {""}
    return not names.isdisjoint({told["release"], run})


def _beside(release_id: str, quality: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The release's windows, and in those the other releases'."""
    ends = {row["window_end"] for row in quality if row["release"] == release_id}
    return [row for row in quality if row["window_end"] in ends]


def _details(told: dict[str, Any]) -> Facts:
    details, bundle = told["details"], told["bundle"]
    if "run" not in details:
        return [("made by", "not told: no event says about the run that made it")]
    by = f"run {details['run']}, for request {details['request']} (MLflow run {details['mlflow_run'] or '-'})"
    took, wall = span(details["training_s"]), details["trained_wall_time"][:16].replace("T", " ")
    whole = "yes: every file has the digest that its manifest names"
    return [
        ("made by", by),
        ("asked for by", "; ".join(_reason(each) for each in details["asked_for_by"]) or "-"),
        ("trained", f"at event time {details['trained_at'][:10]}, in {took}; wall time {wall}"),
        ("kind of outcome", details["label_kind"] or _ELSEWHERE),
        ("trainer", _trainer(details)),
        ("feature service", bundle.get("feature_service") or _ELSEWHERE),
        ("bundle", details["bundle_uri"]),
        ("bundle's digest", details["bundle_digest"]),
        ("bundle read", f"no: {bundle['problem']}" if bundle["problem"] else whole),
        ("people's part", "; ".join(f"{each['who']}: {each['why']}" for each in details["commands"]) or "none"),
    ]


def _trainer(details: dict[str, Any]) -> str:
    if details["imported_from"]:
        return f"none here: imported from {details['imported_from']}"
    return details["trainer"] or _ELSEWHERE


def _reason(reason: dict[str, str]) -> str:
    return ": ".join(part for part in (reason["kind"], reason["detail"]) if part)


def _training(training: dict[str, Any]) -> Facts:
    if not training:
        return [("data", "not told: no event says about the run")]
    known = [
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
    return [(name, value or _ELSEWHERE) for name, value in known]


def _inputs(training: dict[str, Any]) -> list[str]:
    return [*(training.get("numeric_inputs") or ()), *(training.get("categorical_inputs") or ())]


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _pairs(found: dict[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(_items(found)))


def _items(found: dict[str, Any] | None) -> Iterable[tuple[str, Any]]:
    return (found or {}).items()

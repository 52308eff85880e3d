"""All checks of one loop over a running system."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from driftloop.bus.dead_letters import SUFFIX
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Envelope
from driftloop.events.event_log import LIFECYCLE, read_events, read_topics
from driftloop.featurestore import feast_import
from driftloop.featurestore.lake import LakeTable
from driftloop.loop import Loop
from driftloop.model.path_relocation import path_resolver
from driftloop.ops.checks import features, joins, routing, scores, triton, windows
from driftloop.ops.checks.model import Check, Counts, Findings
from driftloop.ops.checks.predictions import Predictions, read_predictions
from driftloop.ops.checks.raw import Recount, records_of_topics, recount
from driftloop.ops.report.releases import outcomes
from driftloop.ops.system.parts import settings_of_tritons
from driftloop.process.home_secrets import read_secret
from driftloop.process.settings import Settings
from driftloop.readmodel.loop_history import LoopHistory

PREDICTIONS = "predictions.served.v1"


def run(
    settings: Settings, loop: Loop, step_ms: int,
    *, since_ms: int = 0, sample: int = 2000, seed: int = 0, say: Callable[[str], None],
) -> Findings:  # fmt: skip
    """Run all checks; read topics and tables once. ``say`` gets the name of each slow step before it starts.

    ``since_ms``: wall-clock start of the running Triton's answers, UTC milliseconds.
    """
    with _no_collection():
        events = [event for event in read_events(KafkaSettings.of(settings), _LIFECYCLE) if event.loop == loop.name]
        say("validating the raw topics again")
        raw = read_raw(settings, loop)
        say("reading the prediction log")
        predictions = read_predictions(read_topics(KafkaSettings.of(settings), [PREDICTIONS]), loop.name)
        counts = Counts()
        checks = [*_ingestion(settings, loop, raw, counts), *_predictions(predictions, events, step_ms, counts)]
        checks += _joins(predictions, events, raw, loop)
        checks += _models(settings, loop, predictions, events, raw, counts, sample, seed, say)
        if len(predictions):
            served = predictions.answered_since(since_ms)
            tritons = [(own.triton_grpc, own.triton_metrics) for own in settings_of_tritons(settings)]
            checks.append(triton.inference_count(tritons, loop.name, served))
        return Findings(checks, counts)


_LIFECYCLE = [*LIFECYCLE, "features.watermark-advanced.v1"]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Disable garbage collection: millions of rows have no cycles, and the search costs a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def read_raw(settings: Settings, loop: Loop) -> Recount:
    """Read and validate the loop's raw topics."""
    topics = list(loop.definition.events)
    records = records_of_topics(list(read_topics(KafkaSettings.of(settings), topics)), topics)
    return recount(records, loop, read_secret(settings.probe_secret))


def ingestion_checks(settings: Settings, loop: Loop) -> list[Check]:
    """Check ingestion's results for the raw topics: accepted rows by event type, dead letters, duplicates."""
    return _ingestion(settings, loop, read_raw(settings, loop), Counts())


def _ingestion(settings: Settings, loop: Loop, raw: Recount, counts: Counts) -> list[Check]:
    checks = []
    for event_type in loop.definition.events:
        table = LakeTable(settings.lake / loop.name / "events" / event_type)
        stored = table.read().num_rows if table.exists() else 0
        expected = len(raw.accepted[event_type])
        counts.accepted[event_type] = stored
        checks.append(
            Check(f"rows of {event_type} in the lake", expected, abs(stored - expected), f"the lake has {stored}")
        )
    letters = {
        source.decode()
        for record in read_topics(KafkaSettings.of(settings), [name + SUFFIX for name in loop.definition.events])
        if (source := record.header("dlq-source")) is not None  # skip replay markers
    }
    counts.dead_lettered = len(letters)
    checks.append(Check("dead letters", len(raw.invalid), len(letters ^ raw.invalid), f"{len(letters)} in the topics"))
    rejected = LakeTable(settings.lake / loop.name / "rejected")
    reasons = rejected.read().column("reason").to_pylist() if rejected.exists() else []
    counts.duplicates = reasons.count("duplicate")
    checks.append(
        Check("duplicates", raw.duplicates, abs(counts.duplicates - raw.duplicates), f"reported {counts.duplicates}")
    )
    return checks


def _predictions(
    predictions: Predictions, events: Sequence[Envelope[Any]], step_ms: int, counts: Counts
) -> list[Check]:
    requested = predictions.take(~predictions.probe)
    counts.predictions_served = len(requested)
    counts.predictions_by_release = dict(Counter(requested.release.tolist()))
    age, counts.feature_age_p50_s, counts.feature_age_p99_s = routing.feature_age(predictions, step_ms)
    return [routing.arms(predictions), *routing.canary_shares(predictions, events), age]


def _joins(predictions: Predictions, events: Sequence[Envelope[Any]], raw: Recount, loop: Loop) -> list[Check]:
    history = LoopHistory(loop.name, events)
    values = joins.outcome_values(raw.table(loop.definition.label.source), loop.definition)
    until_ms = max((window.data.end_ms for window in history.of_kind(monitoring.WindowClosed)), default=0)
    counts = joins.recount_joins(predictions, values, loop.definition, until_ms)
    sums = windows.recount_windows(predictions, values, loop.definition, until_ms)
    return [
        *joins.join_checks(outcomes(history), counts),
        windows.window_check(windows.reported_windows(events), sums),
    ]


def _models(
    settings: Settings, loop: Loop, predictions: Predictions, events: Sequence[Envelope[Any]],
    raw: Recount, counts: Counts, sample: int, seed: int, say: Callable[[str], None],
) -> list[Check]:  # fmt: skip
    bundles = scores.bundles(events, path_resolver(settings.home, settings.store_url))
    served = Check(
        "predictions served", len(predictions), int(not len(predictions)), f"{predictions.repeated} records repeated"
    )
    if not bundles or not len(predictions):
        return [served]
    bundle = next(iter(bundles.values()))
    requested = predictions.take(~predictions.probe)
    say(
        f"features of {min(sample, len(requested)):,} predictions by brute force, of {len(requested):,} by Feast's join"
    )
    feast_import.load()  # once, before two threads import it
    with ThreadPoolExecutor(1, "brute-force") as beside:  # DuckDB releases the lock, Python's work continues
        brute_force = beside.submit(features.brute_force, requested, bundle, loop, raw, settings, sample, seed)
        joined = features.feast_join(requested, bundle, loop, raw, settings)
        scored = scores.score_checks(predictions, bundles)
        brute = brute_force.result()
    counts.skew_compared = brute.compared + joined.compared
    counts.skew_unequal = brute.unequal + joined.unequal
    return [served, brute, joined, *scored]

"""Compares a loop's detectors with its schedule and volume: ``python -m services.monitoring.check FOLDER...``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from driftloop.drift.statistics import blocks_needed
from driftloop.loop import Loop
from driftloop.loop.definition import to_ms
from driftloop.loop.effects import span_text
from driftloop.loop.findings import Findings, answer
from driftloop.process.object_store import Folder
from driftloop.process.settings import Settings

_LEAST_BLOCKS = 3
"""With fewer blocks in the lake the volume is not known."""


def inspect(loop: Loop, settings: Settings) -> Findings:
    """Return warnings about detectors that will not judge, and about an offline gate that no candidate passes."""
    warnings = [*_short_lives(loop), *_few_rows(loop, settings.lake / loop.name / "events")]
    return Findings(warnings=tuple(warnings))


def _short_lives(loop: Loop) -> Iterator[str]:
    """Yield detectors that need more blocks than the schedule gives a champion, which starts without blocks."""
    definition = loop.definition
    if definition.training.schedule is None:
        return
    every = definition.training.schedule.every
    for name, detector in definition.monitoring.detectors.items():
        needed = blocks_needed(detector.kind, detector.blocks)
        if needed * definition.monitoring.block > every:
            yield (
                f"{loop.line_of('monitoring', 'detectors', name, 'blocks')}: monitoring.detectors.{name}.blocks: "
                f"it needs {needed} blocks of one champion, {span_text(needed * definition.monitoring.block)}, but the "
                f"schedule trains another every {span_text(every)}; lower blocks or lengthen training.schedule.every"
            )


def _few_rows(loop: Loop, events: Folder) -> Iterator[str]:
    """Yield minimum rows that the loop's volume does not reach; nothing while the lake has no events."""
    definition = loop.definition
    block = definition.monitoring.block
    predictions = rows_per_block(events / definition.prediction.source, to_ms(block))
    outcomes = rows_per_block(events / definition.label.source, to_ms(block))
    if predictions is None or outcomes is None:
        return
    joined = min(predictions, outcomes)
    for name, detector in definition.monitoring.detectors.items():
        rows, what = (predictions, "predictions") if detector.kind == "psi" else (joined, "outcomes")
        if rows < detector.min_rows:
            yield (
                f"{loop.line_of('monitoring', 'detectors', name, 'min_rows')}: monitoring.detectors.{name}.min_rows: "
                f"{detector.min_rows}, but the events in the lake make {rows:.0f} {what} per block of "
                f"{span_text(block)}; the detector judges few blocks or none. Lower it or lengthen monitoring.block"
            )
    held_out = joined * (definition.training.validation / block)
    if held_out < definition.offline.min_rows:
        yield (
            f"{loop.line_of('offline', 'min_rows')}: offline.min_rows: {definition.offline.min_rows}, but "
            f"training.validation of {span_text(definition.training.validation)} has {held_out:.0f} outcomes; every "
            "candidate is refused. Lower it or lengthen training.validation"
        )


def rows_per_block(table: Folder, block_ms: int) -> float | None:
    """Return the mean number of events per block of a Delta table, from its statistics; None if it has too few."""
    if not DeltaTable.is_deltatable(str(table)):
        return None
    files = pa.table(DeltaTable(str(table)).get_add_actions(flatten=True))
    if not files.num_rows or not {"min.event_time_ms", "max.event_time_ms"} <= set(files.column_names):
        return None
    first, last = pc.min(files["min.event_time_ms"]).as_py(), pc.max(files["max.event_time_ms"]).as_py()
    if first is None or last is None or last - first < _LEAST_BLOCKS * block_ms:
        return None
    rows: int = pc.sum(files["num_records"]).as_py()
    per_block: float = rows * block_ms / (last - first)
    return per_block


if __name__ == "__main__":
    sys.exit(answer(inspect))

"""Conditions that no event tells and that stop nothing, but that an operator should know of.

They are read from metrics of ingestion and monitoring, and from the files that the serving agent sets aside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driftloop.ops.system.health import read_metrics
from driftloop.ops.system.part import Part
from driftloop.process.settings import Settings

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

_MANUAL = "docs/operations.md"
_BEHIND_S = 60.0


@dataclass(frozen=True)
class Condition:
    """A condition of a loop or a topic. ``loop`` is empty if it concerns a topic of any loop."""

    kind: str
    """events-far-ahead, topic-created-again, writer-behind or prediction-log-damaged"""
    loop: str
    subject: str
    """A topic, the name of a Triton, or the folder of a prediction log."""
    text: str
    """One line: what is wrong and what to do."""


def read_conditions(settings: Settings, running: Mapping[str, Part]) -> list[Condition]:
    """Return the conditions of a system with these running parts, by name."""
    samples = {name: read_metrics(running[name]) for name in ("ingestion", "monitoring") if name in running}
    return [
        *ingestion_conditions(samples.get("ingestion", [])),
        *monitoring_conditions(samples.get("monitoring", [])),
        *damaged_logs(settings.spool),
    ]


def ingestion_conditions(samples: Iterable[Sample]) -> Iterator[Condition]:
    """Return what the metrics of ingestion tell."""
    for sample in samples:
        if sample.name == "driftloop_ingestion_far_ahead" and sample.value > 0:
            loop, topic = sample.labels["loop"], sample.labels["event_type"]
            yield Condition(
                "events-far-ahead", loop, topic,
                f"{loop}: the watermark of {topic} does not follow its newest events ({sample.value:.0f}), which are "
                "further ahead than time.max_advance. If their time is right, send a watermark; else fix the "
                f"producer: {_MANUAL}#eventsfarahead",
            )  # fmt: skip
        elif sample.name == "driftloop_ingestion_topics_created_again_total" and sample.value > 0:
            topic = sample.labels["topic"]
            yield Condition(
                "topic-created-again", "", topic,
                f"{topic} was created again before ingestion's last start, and is read from its beginning. Ask the "
                f"producer to send its last events again: {_MANUAL}#topiccreatedagain",
            )  # fmt: skip


def monitoring_conditions(samples: Iterable[Sample]) -> Iterator[Condition]:
    """Return what the metrics of monitoring tell."""
    for sample in samples:
        if sample.name == "driftloop_writer_behind_seconds" and sample.value >= _BEHIND_S:
            loop, writer = sample.labels["loop"], sample.labels["writer"]
            yield Condition(
                "writer-behind", loop, writer,
                f"{loop}: windows wait for {f'Triton {writer}' if writer else 'the first Triton'}, whose agent sent "
                f"nothing for {sample.value:.0f} s while others did. Start it again: {_MANUAL}#writerbehind",
            )  # fmt: skip


def damaged_logs(spool: Path) -> Iterator[Condition]:
    """Return the prediction logs with segments that the serving agent set aside as damaged."""
    damaged = Counter(path.parent for path in sorted(spool.glob("*/*.corrupt")))
    for folder, count in damaged.items():
        files = "1 file" if count == 1 else f"{count} files"
        yield Condition(
            "prediction-log-damaged", folder.name, str(folder),
            f"{folder.name}: the disk damaged {files} of the prediction log (*.corrupt in {folder}), and the records "
            f"in them do not count. Check the disk, then remove them: {_MANUAL}#predictionlogdamaged",
        )  # fmt: skip

"""``driftloop watermark``."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime

import click

from driftloop.bus.admin import require_broker
from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.loop import load_loops
from driftloop.ops.cli.control import JSON, WHO, WHY
from driftloop.ops.cli.output import echo, echo_json
from driftloop.ops.cli.types import DAY, examples
from driftloop.ops.watermarks import Asked, check_asked, write_watermarks
from driftloop.process.clock import SystemClock
from driftloop.process.settings import Settings
from driftloop.readmodel.event_text import day


@click.command(
    epilog=examples(
        'driftloop watermark orders --at 2026-05-01T06:00 --why "the producer stopped to send them"',
        'driftloop watermark orders --derive --why "the new producer sends none"',
    )
)
@click.argument("loop")
@click.option("--at", type=DAY, help="Say that no event before this time follows; UTC.")
@click.option(
    "--derive", is_flag=True, help="Derive watermarks from event times again, after a producer that sent some."
)
@click.option("--topic", "topics", multiple=True, help="Only this raw topic; may be repeated. Default: all of LOOP.")
@WHY
@WHO
@JSON
def watermark(
    loop: str, at: datetime | None, derive: bool, topics: tuple[str, ...], why: str, who: str, as_json: bool
) -> None:
    """Write a watermark to every partition of LOOP's raw topics, for a producer that does not.

    A watermark never goes back. Events that are older than it still arrive, but count as late.
    """
    if (at is None) != derive:
        raise click.UsageError("give either --at or --derive")
    if not why.strip():
        raise click.BadParameter("it is empty; it is stored with the watermarks", param_hint="--why")
    settings = Settings()
    [definition] = load_loops(settings.loops_dir, [loop])
    at_ms = None if at is None else round(at.timestamp() * 1000)
    asked = Asked(topics or tuple(definition.definition.events), at_ms, who, why)
    check_asked(asked, definition, SystemClock().now_ms())
    require_broker(KafkaSettings.of(settings))
    with closing(KafkaBatchProducer(KafkaSettings.of(settings))) as producer:
        partitions = write_watermarks(asked, producer)
    if as_json:
        echo_json({"loop": loop, "watermark_ms": at_ms, "partitions": partitions})
        return
    what = "derives the watermarks again" if at_ms is None else f"has the watermark {day(at_ms)} or a later one"
    echo(f"ingestion {what} in {sum(partitions.values())} partitions of {', '.join(partitions)}")

"""``driftloop give-up``."""

from __future__ import annotations

from contextlib import closing

import click

from driftloop.bus.admin import require_broker
from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.loop import load_loops
from driftloop.ops.cli.control import JSON, WHO, WHY
from driftloop.ops.cli.output import echo, echo_json
from driftloop.ops.cli.types import examples
from driftloop.ops.give_up import ask_give_up
from driftloop.process.clock import SystemClock
from driftloop.process.settings import Settings


@click.command("give-up", epilog=examples('driftloop give-up orders triton-2 --why "its disk is lost"'))
@click.argument("loop")
@click.argument("triton")
@WHY
@WHO
@JSON
def give_up(loop: str, triton: str, why: str, who: str, as_json: bool) -> None:
    """Let the windows of LOOP no longer wait for the predictions of TRITON, which does not come back.

    Predictions that it answered and did not send are then missing in their windows. If its agent starts again, it sends
    them, and they count in later windows.
    """
    if not why.strip():
        raise click.BadParameter("it is empty; it is stored with the event", param_hint="--why")
    settings = Settings()
    load_loops(settings.loops_dir, [loop])
    require_broker(KafkaSettings.of(settings))
    with closing(KafkaBatchProducer(KafkaSettings.of(settings))) as producer:
        ask_give_up(loop, triton, who, why, producer, SystemClock().now_ms())
    if as_json:
        echo_json({"loop": loop, "triton": triton})
        return
    echo(f"monitoring is asked; `driftloop timeline {loop}` shows it, unless no window waits for {triton}")

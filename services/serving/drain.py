"""Closes the writer of a home whose Triton does not come back: ``python -m services.serving.drain``.

It sends what the spool still has, and then lets the windows no longer wait. Triton and its agent must have ended.
"""

from __future__ import annotations

import sys
import threading
from contextlib import closing

from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import features_pb2
from driftloop.contracts.topics import topic_of
from driftloop.loop import load_loops
from driftloop.process import log
from driftloop.process.clock import SystemClock
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.runner.alone import exclusive, locked
from driftloop.runner.tables import open_database
from services.serving.adapters import sql
from services.serving.adapters.spool_reader import SpoolReader
from services.serving.bootstrap import NAME, agent_name
from services.serving.config import ServingSettings
from services.serving.log_writers import LogWriters
from services.serving.shipper import Shipper


def drain(settings: ServingSettings) -> None:
    """Send the rest of this home's prediction log, and close its writer in the log of every loop.

    Raises:
        ConfigError: Triton or its agent still runs.
        Retriable: the brokers did not acknowledge; the call can be repeated.
    """
    loops = [loop.name for loop in load_loops(settings.loops_dir, settings.loops)]
    spools = {loop: SpoolReader(settings.spool / loop, loop) for loop in loops}
    kafka, clock, name = KafkaSettings.of(settings, NAME), SystemClock(), agent_name(settings)
    with locked(name, settings), exclusive(name, settings) as lease:
        for loop, spool in spools.items():
            if spool.is_written():
                raise ConfigError(f"Triton still writes to {settings.spool / loop}; stop it first")
        engine = open_database(settings.database_url(name), sql.metadata, fence=lease.check)
        with (
            closing(
                KafkaBatchConsumer(kafka, [topic_of(features_pb2.WatermarkAdvanced).name], f"{name}-shipper")
            ) as reads,
            closing(KafkaBatchProducer(kafka)) as writes,
        ):
            writers = LogWriters(settings.triton_name, loops, sql.SqlWriterStarts(engine), clock)
            Shipper(spools, sql.SqlSpoolPositions(engine), writers, reads, writes, clock, threading.Event()).leave()
        engine.dispose()


def main() -> int:
    """Run the command; return the exit code."""
    settings = ServingSettings()
    log.configure("serving-drain", settings.log_level)
    try:
        drain(settings)
    except DriftloopError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"the prediction log of {settings.home} is sent, and windows no longer wait for its Triton\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

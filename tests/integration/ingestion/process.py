"""The service as a process on a real Kafka."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.events.event_log import read_events
from driftloop.process.settings import ROOT
from tests.helpers.eventually import assert_eventually
from tests.unit.ingestion.fixtures import HOUR_MS, START_MS
from tests.unit.ingestion.harness import FLUSHED


@dataclass
class Service:
    """`python -m services.ingestion`, started and killed at will."""

    home: Path
    brokers: KafkaSettings
    health: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            "DRIFTLOOP_HOME": str(self.home),
            "DRIFTLOOP_LOOPS_DIR": str(self.home / "loops"),
            "DRIFTLOOP_KAFKA_BOOTSTRAP": self.brokers.bootstrap,
            "DRIFTLOOP_HEALTH_PORT": str(self.health),
            "DRIFTLOOP_FLUSH_ROWS": "40",
        }
        with (self.home / "ingestion.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.ingestion"], cwd=ROOT, env={**os.environ, **environment}, stderr=log
            )
        assert_eventually(lambda: self.get("ready"), 60, (self.home / "ingestion.log").read_text()[-2000:])

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    def get(self, path: str) -> str:
        try:
            with urlopen(f"http://127.0.0.1:{self.health}/{path}", timeout=2) as response:
                return str(response.read().decode())
        except (URLError, TimeoutError, ConnectionError):
            return ""


def flushed_to(brokers: KafkaSettings, loop: str, hour: int) -> bool:
    """Return whether the lake of a loop is complete up to this hour."""
    at_ms = START_MS + hour * HOUR_MS
    return any(event.loop == loop and event.data.watermark_ms >= at_ms for event in read_events(brokers, [FLUSHED]))

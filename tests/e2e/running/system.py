"""A running system: a demo of ten weeks with late rows and a drift promotion, left up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import tritonclient.grpc as triton

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Record
from driftloop.events.event_log import read_events, read_topics
from driftloop.events.probe import MARKER, PROBE, SECRET
from driftloop.loop import Loop, load_loop
from driftloop.loop.code import load_module
from driftloop.model.bundle import Bundle
from driftloop.ops.checks.predictions import Predictions, read_predictions
from driftloop.ops.checks.run import PREDICTIONS
from driftloop.ops.checks.scores import bundles
from driftloop.ops.replay.caller import Caller
from driftloop.process.home_secrets import read_secret
from driftloop.process.settings import Settings
from driftloop.readmodel.loop_history import loop_states
from tests.e2e.command_line import CommandLine, system
from tests.e2e.two_loops.harness import FLIGHTS, STEP, definitions, settings_of

LATE = ("--late-share", "0.01", "--late-by", "9h")
"""Longer than a step, so that a watermark always advances before the late row."""
ORDER_HISTORY = ("demo", "--start", "2013-01-14", "--end", "2013-03-25", "--step", "3h", *LATE)
"""The first champion comes on February 12, an alarm on February 26, and a candidate is rejected before March 23."""
END_MS = 1_364_169_600_000
FIRST_WEEKS = ("demo", "--end", "2013-02-10", "--step", STEP, *LATE)
"""The first champion comes on January 29; the detectors have a statistic after ten blocks of it."""
_REQUESTS_MS = 10 * 86_400_000
PLANE = "plane: {input: tailnum, max_values: 5, min_rows: 1}"
"""A slice on an input with `model: false`."""
SILENT = "silent"
"""A detector that needs more rows than the loop ever has."""
_SILENT = f'{SILENT}: {{kind: psi, mode: watch, threshold: 0.5, "on": score, min_rows: 1000000}}'


@dataclass(frozen=True)
class RunningSystem:
    """A running system and how to reach it."""

    line: CommandLine
    settings: Settings
    loop: Loop
    report: dict[str, Any]

    @property
    def watermark_ms(self) -> int:
        """End of the replay."""
        return END_MS

    def pids(self) -> dict[str, list[int]]:
        """Return the process ids of each part."""
        status = json.loads(self.line.run("status", "--json").stdout)
        return {part["name"]: part["pids"] for part in status["parts"]}

    def topic(self, *topics: str) -> list[Record]:
        """Return all records of some topics."""
        return list(read_topics(KafkaSettings.of(self.settings), topics))

    def predictions(self) -> Predictions:
        """Return the prediction log, including probes."""
        return read_predictions(self.topic(PREDICTIONS), self.loop.name)

    def bundle(self) -> Bundle:
        """Return the champion's bundle."""
        events = read_events(KafkaSettings.of(self.settings))
        [state] = loop_states(event for event in events if event.loop == self.loop.name)
        return bundles(events)[state.champion]

    @cached_property
    def requests(self) -> pa.Table:
        """Requests of the last days, decided at the end of the replay, so that no feature is too old."""
        events = load_module(self.loop.folder, "source").events(END_MS - _REQUESTS_MS, END_MS)
        requests: pa.Table = load_module(self.loop.folder, "requests").requests(events)
        now = pa.array([self.watermark_ms] * requests.num_rows, pa.int64())
        return requests.set_column(requests.schema.get_field_index("decision_time_ms"), "decision_time_ms", now)

    @contextmanager
    def client(self) -> Iterator[triton.InferenceServerClient]:
        """Yield a plain Triton client."""
        with triton.InferenceServerClient(self.settings.triton_grpc) as client:
            yield client

    def tensors(self, client: triton.InferenceServerClient, rows: pa.Table) -> list[triton.InferInput]:
        """Return the inputs of a valid request."""
        return Caller(client, self.loop.name, self.loop.definition.prediction).inputs(rows)


def infer(
    settings: Settings, client: triton.InferenceServerClient, model: str, inputs: Sequence[triton.InferInput], name: str
) -> Any:
    """Send a request as a probe, so that it does not count as traffic."""
    parameters = {MARKER: PROBE, SECRET: read_secret(settings.probe_secret)}
    return client.infer(model, inputs, request_id=name, parameters=parameters, client_timeout=60.0)


@contextmanager
def running_demo(folder: Path) -> Iterator[RunningSystem]:
    """Run the demo, leave it up, and stop it at the end."""
    environment = definitions(folder, [FLIGHTS])
    _edit_definition(folder / "loops" / FLIGHTS)
    with system(folder, environment) as line:
        report = demo(line, "--keep", days=ORDER_HISTORY)
        line = CommandLine({**line.environment, "DRIFTLOOP_HOME": str(folder / "home" / "demo")}, line.out)
        settings = settings_of(line)
        yield RunningSystem(line, settings, load_loop(settings.loops_dir / FLIGHTS), report)


def _edit_definition(linked: Path) -> None:
    """Replace the link to the loop with links to its files, and a definition with one more slice and detector."""
    shipped = linked.resolve()
    linked.unlink()
    linked.mkdir()
    for path in shipped.iterdir():
        if path.name == "loop.yaml":
            text = path.read_text()
            for section, line in (("  slices:\n", PLANE), ("  detectors:\n", _SILENT)):
                assert text.count(section) == 1
                text = text.replace(section, f"{section}    {line}\n")
            (linked / path.name).write_text(text)
        elif path.name != "__pycache__":
            (linked / path.name).symlink_to(path)


def demo(line: CommandLine, *more: str, days: Sequence[str] = FIRST_WEEKS) -> dict[str, Any]:
    """Run a demo and return its report."""
    ended = line.run(*days, "--out", str(line.out), "--json", *more)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-4000:]
    assert json.loads(ended.stdout) == {"passed": True, "problems": [], "report": str(line.out / "report.json")}
    return line.report()

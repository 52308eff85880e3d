"""Launches requested runs, enforces their limits and publishes their results.

Runs and their progress are in SQL. Each change is one transaction with its event, and all ids derive from the run's id.
If killed, the worker therefore continues where it was and publishes each event once. A change is stored only if the run
is as it was read, so of two workers that see the same run one starts it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Connection, Engine

from driftloop.contracts import training_pb2 as training
from driftloop.events import ids
from driftloop.events.envelope import Draft, Envelope
from driftloop.loop.definition import TrainingDefinition
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import Retriable
from driftloop.runner import outbox
from driftloop.runner.tables import reading
from services.training import metrics
from services.training.adapters import sql
from services.training.domain import controller
from services.training.domain.state import RetrainState
from services.training.errors import LaunchRefused
from services.training.limits import exceeded_limit
from services.training.ports import Launcher, Observation
from services.training.spec import Failed, Result, RunSpec, Trained

_LAUNCHES = 3
"""Number of launches after which a vanished run counts as failed."""


@dataclass(frozen=True)
class Worker:
    """The worker of one database. ``spec_of`` returns the manifest of a run with pinned tables."""

    source: str
    engine: Engine
    launcher: Launcher
    policies: Mapping[str, TrainingDefinition]
    spec_of: Callable[[sql.Run], RunSpec]
    clock: Clock

    def run(self, stop: threading.Event, pause_s: float) -> None:
        """Work until the event is set, then stop the processes. The next start launches their runs again.

        Runs that outlive the service continue; the next start finds them.
        """
        try:
            while not stop.wait(pause_s):
                self.tick()
            if not self.launcher.outlives_service:
                self.interrupt()
        finally:
            self.launcher.close()

    def interrupt(self) -> None:
        """Stop the running runs, including those that a former process of this service launched.

        Launches that are cut short do not count as vanished. An instance that another one has replaced stops only its
        own processes (`Launcher.close`).

        Raises:
            LeaseLost: another instance of the service has taken over the runs.
        """
        for run in self._open_runs():
            if run.phase == "running" and self._replace(run, replace(run, launches=max(0, run.launches - 1))):
                self.launcher.stop(self.spec_of(run))

    def tick(self) -> None:
        """Check each open run once. A run that cannot be reached now is checked again by the next call."""
        for run in self._open_runs():
            try:
                if run.phase == "waiting":
                    self._start(run)
                else:
                    self._watch(run)
            except Retriable as error:
                metrics.UNREACHABLE.add(loop=run.loop)
                log.get(__name__).warning("run-unreachable", loop=run.loop, run_id=run.run_id, error=str(error))

    def _open_runs(self) -> list[sql.Run]:
        with reading(self.engine) as connection:
            return [run for run in sql.open_runs(connection) if run.loop in self.policies]

    def _start(self, run: sql.Run) -> None:
        with self.engine.begin() as connection:
            pinned = _pinned(connection, run)
            if pinned is None:
                return
            draft = _run_started(run, pinned)
            started = replace(run, phase="running", pinned=pinned, event_id=draft.id)
            if not sql.replace_run(connection, run, started):
                return
            self._publish(connection, run, draft)
        self._launch(started)

    def _launch(self, run: sql.Run) -> None:
        before, run = run, replace(run, launches=run.launches + 1, launched_wall_ms=self.clock.now_ms())
        if not self._replace(before, run):
            return
        try:
            self.launcher.launch(self.spec_of(run))
        except Retriable:
            self._replace(run, replace(run, launches=before.launches))  # a failed attempt does not count
            raise
        except LaunchRefused as error:
            self._finish(run, Failed("error", str(error)))
            return
        metrics.LAUNCHES.add(loop=run.loop)
        log.get(__name__).info("launched", loop=run.loop, run_id=run.run_id, launches=run.launches)

    def _watch(self, run: sql.Run) -> None:
        spec = self.spec_of(run)
        observation = self.launcher.observe(spec)
        metrics.RUN_MEMORY.set(observation.memory_mib, loop=run.loop)
        failure = observation.overdue or self._exceeded_limit(run, spec, observation)
        if observation.phase == "ended":
            self._finish(run, observation.result or Failed("error", observation.stderr_tail))
        elif failure is not None:
            self.launcher.stop(spec)
            self._finish(run, self.launcher.observe(spec).result or failure)
        elif observation.phase == "absent" and run.launches < _LAUNCHES:
            self._launch(run)
        elif observation.phase == "absent":
            self._finish(run, Failed("error", f"the process vanished {run.launches} times without a result"))

    def _exceeded_limit(self, run: sql.Run, spec: RunSpec, observation: Observation) -> Failed | None:
        elapsed_ms = self.clock.now_ms() - (run.launched_wall_ms or 0)
        return exceeded_limit(spec, observation, elapsed_ms / 1000, self.launcher.start_limit_s)

    def _finish(self, run: sql.Run, result: Result) -> None:
        trained = isinstance(result, Trained)
        draft = _candidate_trained(run, result) if isinstance(result, Trained) else _run_failed(run, result)
        with self.engine.begin() as connection:
            if not sql.replace_run(connection, run, replace(run, phase="done", event_id=draft.id)):
                return
            state = sql.load_state(connection, run.loop)
            request = run.request
            if trained:
                state = controller.open_release(state, request.request_id)
            else:
                state = controller.fail_run(state, request.request_id, request.window_end_ms)
            self._publish(connection, run, draft)
            sql.save_state(connection, state)
        _record_metrics(run, result, state, self.policies[run.loop])
        log.get(__name__).info("run-ended", loop=run.loop, run_id=run.run_id, trained=trained)

    def _replace(self, before: sql.Run, run: sql.Run) -> bool:
        with self.engine.begin() as connection:
            return sql.replace_run(connection, before, run)

    def _publish(self, connection: Connection, run: sql.Run, draft: Draft) -> None:
        wall_time_ms = self.clock.now_ms()
        outbox.put(connection, [draft], source=self.source, wall_time_ms=wall_time_ms, cause=_cause(run))


def _pinned(connection: Connection, run: sql.Run) -> sql.PinnedTables | None:
    """Return the tables that cover the run's window, or None if some do not yet."""
    lake = sql.load_coverage(connection, run.loop, "lake")
    offline = sql.load_coverage(connection, run.loop, "offline")
    if lake is None or offline is None:
        return None
    if min(lake.watermark_ms, offline.watermark_ms) < run.request.window_end_ms:
        return None
    return sql.PinnedTables(lake.tables, offline.tables)


def _record_metrics(run: sql.Run, result: Result, state: RetrainState, policy: TrainingDefinition) -> None:
    metrics.set_gauges(state, policy)
    metrics.RUN_MEMORY.set(0, loop=run.loop)
    if isinstance(result, Trained):
        metrics.RUNS.add(loop=run.loop, end="trained")
        metrics.RUN_SECONDS.record(result.duration_s, loop=run.loop)
    else:
        metrics.RUNS.add(loop=run.loop, end=result.reason)


def _run_started(run: sql.Run, pinned: sql.PinnedTables) -> Draft:
    message = training.RunStarted(
        loop=run.loop,
        request_id=run.request.request_id,
        run_id=run.run_id,
        lake_versions={name: table.version for name, table in pinned.events.items()},
        view_versions={name: table.version for name, table in pinned.views.items()},
    )
    return _draft("training.run-started", run, message)


def _candidate_trained(run: sql.Run, result: Trained) -> Draft:
    message = training.CandidateTrained(
        loop=run.loop,
        request_id=run.request.request_id,
        run_id=run.run_id,
        mlflow_run_id=result.mlflow_run_id,
        bundle=training.Bundle(uri=result.bundle_uri, digest=result.bundle_digest),
        training_rows=result.training_rows,
        metrics=result.metrics,
        duration_s=result.duration_s,
        holdout_uri=result.holdout_uri,
        reasons=run.request.reasons,
    )
    return _draft("training.candidate-trained", run, message)


def _run_failed(run: sql.Run, result: Failed) -> Draft:
    message = training.RunFailed(
        loop=run.loop,
        request_id=run.request.request_id,
        run_id=run.run_id,
        reason=result.reason,
        detail=result.detail,
    )
    return _draft("training.run-failed", run, message)


def _draft(kind: str, run: sql.Run, message: Message) -> Draft:
    return Draft(ids.event_id(kind, run.loop, run.run_id), run.loop, run.request.window_end_ms, message)


def _cause(run: sql.Run) -> Envelope[Any]:
    """Return the newest event of the run's chain, with the fields that a draft inherits."""
    return Envelope(
        id=run.event_id,
        source="",
        type="",
        loop=run.loop,
        time_ms=run.request.window_end_ms,
        wall_time_ms=0,
        correlation_id=run.correlation_id,
        causation_id=None,
        traceparent=run.traceparent,
        data=run.request,
    )

"""Handlers of the training service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import features_pb2 as features
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Draft, Envelope
from driftloop.events.window_decided import window_decided
from driftloop.loop.definition import TrainingDefinition
from driftloop.process import log
from driftloop.process.errors import InvalidEvent
from driftloop.runner.handler import HandlerTable, Transaction, of_loop
from services.training import metrics
from services.training.adapters import sql
from services.training.domain import controller
from services.training.domain.state import Answer, Reason, Requested, RetrainState
from services.training.messages import drafts_of
from services.training.spec import TableVersion

Change = Callable[[RetrainState], RetrainState]


class Handlers:
    """Handlers with the training policy of each loop by name."""

    def __init__(self, policies: Mapping[str, TrainingDefinition]) -> None:
        self._policies = policies

    def window_closed(self, event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        data = event.data
        policy = self._policy(data.loop)
        window = controller.Window(event.id, data.start_ms, data.end_ms, data.champion_release_id)
        state, answers = controller.close_window(sql.load_state(tx.connection, data.loop), policy, window)
        drafts = self._save(tx, state, answers, event.time_ms)
        return [*drafts, window_decided("training", data, drafts)]

    def drift_detected(self, event: Envelope[monitoring.DriftDetected], tx: Transaction) -> Sequence[Draft]:
        data = event.data
        policy = self._policy(data.loop)
        if data.mode != "trigger":
            return []
        detail = f"{data.detector}: {data.statistic:.4g} above {data.threshold:.4g} over {data.blocks} blocks"
        reason = Reason(
            "drift", event.id, event.time_ms, detail, event.correlation_id, data.release_id, tuple(data.evidence_ids)
        )
        return self._add_reason(tx, data.loop, policy, reason)

    def retrain(self, event: Envelope[control.Retrain], tx: Transaction) -> Sequence[Draft]:
        data = event.data
        policy = self._policy(data.loop)
        detail = f"{data.who}: {data.why}"
        return self._add_reason(
            tx, data.loop, policy, Reason("command", event.id, event.time_ms, detail, event.correlation_id)
        )

    def import_(self, event: Envelope[control.Import], tx: Transaction) -> Sequence[Draft]:
        data = event.data
        policy = self._policy(data.loop)
        if data.model.uri != f"imports/{data.model.sha256}.onnx" or not data.model.inputs:
            raise InvalidEvent(
                "missing-field", "an import needs model.uri, imports/<model.sha256>.onnx, and model.inputs"
            )
        model = data.model.SerializeToString(deterministic=True).hex()
        detail = f"{data.who}: {data.why} ({data.model.source})"
        reason = Reason("import", event.id, event.time_ms, detail, event.correlation_id, model=model)
        return self._add_reason(tx, data.loop, policy, reason)

    def pause(self, event: Envelope[control.Pause], tx: Transaction) -> Sequence[Draft]:
        wall_ms = event.wall_time_ms
        return self._change(tx, event.data.loop, lambda state: controller.set_paused(state, True, wall_ms))

    def resume(self, event: Envelope[control.Resume], tx: Transaction) -> Sequence[Draft]:
        wall_ms = event.wall_time_ms
        return self._change(tx, event.data.loop, lambda state: controller.set_paused(state, False, wall_ms))

    def release_created(self, event: Envelope[registry.ReleaseCreated], tx: Transaction) -> Sequence[Draft]:
        data = event.data
        return self._change(tx, data.loop, lambda state: controller.open_release(state, data.request_id))

    def stage_entered(self, event: Envelope[registry.StageEntered], tx: Transaction) -> Sequence[Draft]:
        data = event.data

        def change(state: RetrainState) -> RetrainState:
            return controller.enter_stage(state, data.release_id, data.stage, data.champion_release_id, data.epoch)

        return self._change(tx, data.loop, change)

    def champion_promoted(self, event: Envelope[registry.ChampionPromoted], tx: Transaction) -> Sequence[Draft]:
        data, at_ms = event.data, event.time_ms
        return self._change(tx, data.loop, lambda s: controller.promote_champion(s, data.release_id, at_ms, data.epoch))

    def release_rejected(self, event: Envelope[registry.ReleaseRejected], tx: Transaction) -> Sequence[Draft]:
        data, at_ms = event.data, event.time_ms
        return self._change(tx, data.loop, lambda s: controller.reject_release(s, data.release_id, data.cause, at_ms))

    def release_rolled_back(self, event: Envelope[registry.ReleaseRolledBack], tx: Transaction) -> Sequence[Draft]:
        data, at_ms = event.data, event.time_ms

        def change(state: RetrainState) -> RetrainState:
            return controller.roll_back_release(
                state, data.release_id, data.to_release_id, data.cause, at_ms, data.from_stage
            )

        return self._change(tx, data.loop, change)

    def lake_flushed(self, event: Envelope[ingestion.LakeFlushed], tx: Transaction) -> Sequence[Draft]:
        self._policy(event.data.loop)
        tables = {table.name: TableVersion(table.path, table.version) for table in event.data.tables}
        coverage = sql.Coverage(event.data.watermark_ms, tables)
        sql.extend_coverage(tx.connection, event.data.loop, "lake", coverage)
        return []

    def offline_flushed(self, event: Envelope[features.OfflineFlushed], tx: Transaction) -> Sequence[Draft]:
        self._policy(event.data.loop)
        tables = {view.view: TableVersion(view.path, view.version) for view in event.data.views}
        coverage = sql.Coverage(event.data.watermark_ms, tables)
        sql.extend_coverage(tx.connection, event.data.loop, "offline", coverage)
        return []

    def retrain_requested(self, event: Envelope[training.RetrainRequested], tx: Transaction) -> Sequence[Draft]:
        self._policy(event.data.loop)
        chain = sql.load_state(tx.connection, event.data.loop).chain
        if chain is not None and chain.request_id == event.data.request_id:
            sql.add_run(tx.connection, chain.run_id, event)
        else:
            log.get(__name__).warning("request-not-open", request_id=event.data.request_id)
        return []

    def _add_reason(self, tx: Transaction, loop: str, policy: TrainingDefinition, reason: Reason) -> list[Draft]:
        state, answers = controller.add_reason(sql.load_state(tx.connection, loop), policy, reason)
        return self._save(tx, state, answers, reason.event_time_ms)

    def _change(self, tx: Transaction, loop: str, change: Change) -> list[Draft]:
        self._policy(loop)
        return self._save(tx, change(sql.load_state(tx.connection, loop)), (), 0)

    def _save(self, tx: Transaction, state: RetrainState, answers: Sequence[Answer], time_ms: int) -> list[Draft]:
        sql.save_state(tx.connection, state)
        metrics.set_gauges(state, self._policy(state.loop))
        for answer in answers:
            if isinstance(answer, Requested):
                metrics.REQUESTS.add(loop=state.loop)
            else:
                metrics.COALESCED.add(loop=state.loop, because=answer.because)
        return drafts_of(state.loop, answers, time_ms)

    def _policy(self, loop: str) -> TrainingDefinition:
        return of_loop(self._policies, loop)


def table(policies: Mapping[str, TrainingDefinition]) -> HandlerTable:
    """Return the handler table."""
    handlers = Handlers(policies)
    return {
        monitoring.WindowClosed: handlers.window_closed,
        monitoring.DriftDetected: handlers.drift_detected,
        control.Retrain: handlers.retrain,
        control.Import: handlers.import_,
        control.Pause: handlers.pause,
        control.Resume: handlers.resume,
        registry.ReleaseCreated: handlers.release_created,
        registry.StageEntered: handlers.stage_entered,
        registry.ChampionPromoted: handlers.champion_promoted,
        registry.ReleaseRejected: handlers.release_rejected,
        registry.ReleaseRolledBack: handlers.release_rolled_back,
        ingestion.LakeFlushed: handlers.lake_flushed,
        features.OfflineFlushed: handlers.offline_flushed,
        training.RetrainRequested: handlers.retrain_requested,
    }

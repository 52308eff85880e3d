"""Handlers of the evaluation service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Draft, Envelope
from driftloop.events.window_decided import window_decided
from driftloop.loop.definition import LoopDefinition
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent
from driftloop.runner.handler import HandlerTable, Transaction, of_loop
from services.evaluation import messages, metrics
from services.evaluation.domain import rollout
from services.evaluation.domain.judgement import Judgement
from services.evaluation.offline_evaluation import Judge, resampling_of
from services.evaluation.ports import Block, Candidate, StageEntry, State

_CHAMPION = "champion"


@dataclass(frozen=True)
class Evaluation:
    """The handlers and their dependencies."""

    loops: Mapping[str, LoopDefinition]
    judge: Judge
    clock: Clock
    state: Callable[[Connection], State]

    def candidate_trained(self, event: Envelope[training.CandidateTrained], tx: Transaction) -> Sequence[Draft]:
        """Judge a candidate offline, against the champion if there is one."""
        data, state = event.data, self.state(tx.connection)
        loop = self._loop(data.loop)
        candidate = _candidate(data)
        state.add_candidate(candidate)
        champion = state.candidate(state.champion(data.loop))
        verdict_id = messages.offline_verdict_id(data.loop, candidate.release_id)
        started = self.clock.monotonic_s()
        judgement = self.judge.judge(loop, candidate, data.holdout_uri, champion, verdict_id)
        metrics.OFFLINE_SECONDS.record(self.clock.monotonic_s() - started, loop=data.loop)
        _count(data.loop, "offline", judgement)
        compared = champion.release_id if champion and "champion_loss" in judgement.metrics else ""
        return [messages.offline_verdict(judgement, candidate, data.request_id, compared, verdict_id, event.time_ms)]

    def window_closed(self, event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
        """Store a window's paired sums, judge the open release, and answer the window."""
        window, state = event.data, self.state(tx.connection)
        loop = self._loop(window.loop)
        state.add_blocks(window.loop, event.id, [_block(pair) for pair in window.paired])
        entry = state.open_stage(window.loop)
        verdicts = []
        if entry is not None and window.start_ms >= entry.entered_ms:
            verdicts = self._verdict(loop, entry, event, state)
        return [*verdicts, window_decided("evaluation", window, verdicts)]

    def stage_entered(self, event: Envelope[registry.StageEntered], tx: Transaction) -> Sequence[Draft]:
        """Store the open release, its start and its champion; or the new champion."""
        data, state = event.data, self.state(tx.connection)
        is_new = state.enter(
            StageEntry(
                loop=data.loop,
                release_id=data.release_id,
                stage=data.stage,
                step=data.step,
                epoch=data.epoch,
                entered_ms=event.time_ms,
                champion_release_id=data.champion_release_id,
                chain=event.correlation_id,
                event_id=event.id,
            )
        )
        if is_new and data.stage == _CHAMPION:
            state.set_champion(data.loop, data.release_id, data.epoch)
        elif is_new and data.release_id == state.champion(data.loop):
            state.set_champion(data.loop, data.champion_release_id, data.epoch)
        return []

    def champion_promoted(self, event: Envelope[registry.ChampionPromoted], tx: Transaction) -> Sequence[Draft]:
        state = self.state(tx.connection)
        state.set_champion(event.data.loop, event.data.release_id, event.data.epoch)
        return []

    def release_created(self, event: Envelope[registry.ReleaseCreated], tx: Transaction) -> Sequence[Draft]:
        """Store where the release's bundle is."""
        data = event.data
        bundle = data.release.bundle
        self.state(tx.connection).add_candidate(
            Candidate(data.release.release_id, data.loop, data.run_id, bundle.uri, bundle.digest)
        )
        return []

    def release_ended(
        self, event: Envelope[registry.ReleaseRejected | registry.ReleaseRolledBack], tx: Transaction
    ) -> Sequence[Draft]:
        """Stop judging the release."""
        self.state(tx.connection).end(event.data.release_id)
        return []

    def _verdict(
        self, loop: LoopDefinition, entry: StageEntry, event: Envelope[monitoring.WindowClosed], state: State
    ) -> list[Draft]:
        step = loop.rollout.step(entry.step)
        verdict_id = messages.stage_verdict_id(entry, event.data.window_id)
        started = self.clock.monotonic_s()
        judgement = rollout.judge(state.evidence(entry), step, resampling_of(loop), verdict_id)
        metrics.BOOTSTRAP_SECONDS.record(self.clock.monotonic_s() - started, loop=entry.loop)
        _count(entry.loop, entry.stage, judgement)
        evidence_ids = state.evidence_ids(entry, entry.entered_ms if step.evidence == "stage" else None)
        return [messages.stage_verdict(judgement, entry, evidence_ids, verdict_id, event.time_ms)]

    def _loop(self, name: str) -> LoopDefinition:
        return of_loop(self.loops, name)


def _candidate(data: training.CandidateTrained) -> Candidate:
    if not (data.run_id and data.bundle.uri and data.bundle.digest):
        raise InvalidEvent("missing-field", "a candidate needs run_id, bundle.uri and bundle.digest")
    name = messages.release_id(data.loop, data.run_id)
    return Candidate(name, data.loop, data.run_id, data.bundle.uri, data.bundle.digest)


def _block(pair: monitoring.PairedBlock) -> Block:
    return Block(
        champion_release_id=pair.champion_release_id,
        challenger_release_id=pair.challenger_release_id,
        block_start_ms=pair.block_start_ms,
        slice=pair.slice,
        rows=pair.count,
        champion_loss=pair.champion_loss_sum,
        challenger_loss=pair.challenger_loss_sum,
    )


def _count(loop: str, stage: str, judgement: Judgement) -> None:
    metrics.VERDICTS.add(loop=loop, stage=stage, outcome=judgement.outcome)
    gain = judgement.interval
    if gain is not None:
        metrics.STAGE_BLOCKS.set(gain.blocks, loop=loop, stage=stage)
        for bound in ("estimate", "lower", "upper"):
            metrics.GAIN.set(getattr(gain, bound), loop=loop, bound=bound)


def table(service: Evaluation) -> HandlerTable:
    """Return the handler table."""
    return {
        training.CandidateTrained: service.candidate_trained,
        monitoring.WindowClosed: service.window_closed,
        registry.ReleaseCreated: service.release_created,
        registry.StageEntered: service.stage_entered,
        registry.ChampionPromoted: service.champion_promoted,
        registry.ReleaseRejected: service.release_ended,
        registry.ReleaseRolledBack: service.release_ended,
    }

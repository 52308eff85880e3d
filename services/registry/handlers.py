"""Handlers of the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.events.envelope import Draft, Envelope
from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.events.verdicts import verdict_step
from driftloop.loop.definition import LoopDefinition, to_ms
from driftloop.process import log
from driftloop.process.errors import InvalidEvent
from driftloop.runner.handler import HandlerTable, Transaction, of_loop
from services.registry import metrics
from services.registry.domain import transitions
from services.registry.domain.release import Change, LoopReleases, ReleaseRecord
from services.registry.domain.transitions import Policy
from services.registry.domain.verdict import Verdict
from services.registry.drafts import command_ignored, drafts
from services.registry.ports import Ledger

_OFFLINE = "offline"
Transition = Callable[[LoopReleases], Change]
Gone = Callable[[str, ReleaseRecord], str]
"""Says what a release of a loop reads and the definitions no longer have; empty if nothing."""


def nothing_gone(_loop: str, _release: ReleaseRecord) -> str:
    """Return that a release can answer."""
    return ""


@dataclass(frozen=True)
class Registry:
    """The handlers and their dependencies."""

    policies: Mapping[str, Policy]
    ledger: Callable[[Connection], Ledger]
    gone: Gone = nothing_gone

    def verdict_reached(self, event: Envelope[evaluation.VerdictReached], tx: Transaction) -> Sequence[Draft]:
        data = event.data
        policy, verdict = self._policy(data.loop), _verdict(event)
        ledger = self.ledger(tx.connection)
        if data.stage == _OFFLINE:
            candidate = _candidate(event)
            if ledger.has_release(candidate.release_id):
                return []
            change, events = self._apply(
                event, ledger, lambda state: transitions.judge_offline(state, candidate, verdict, policy)
            )
        else:
            change, events = self._apply(event, ledger, lambda state: transitions.judge_stage(state, verdict, policy))
        metrics.VERDICTS.add(loop=data.loop, stage=data.stage, effect=_effect(change))
        return events

    def approve(self, event: Envelope[control.Approve], tx: Transaction) -> Sequence[Draft]:
        """Advance the release that waits for approval."""
        data = event.data
        policy, why = self._policy(data.loop), _reason(event, "approved")
        return self._command(
            event,
            tx,
            lambda state: transitions.approve(state, data.release_id, why, (event.id,), event.time_ms, policy),
        )

    def reject(self, event: Envelope[control.Reject], tx: Transaction) -> Sequence[Draft]:
        """End the open release."""
        release_id, why = event.data.release_id, _reason(event, "rejected")
        return self._command(
            event, tx, lambda state: transitions.reject(state, release_id, why, (event.id,), event.time_ms)
        )

    def roll_back(self, event: Envelope[control.Rollback], tx: Transaction) -> Sequence[Draft]:
        """Roll back the newest change."""
        why = _reason(event, "rolled back")
        return self._command(
            event,
            tx,
            lambda state: transitions.roll_back(state, why, (event.id,), event.time_ms, self._gone(state)),
        )

    def pause(self, event: Envelope[control.Pause], tx: Transaction) -> Sequence[Draft]:
        """Stop verdicts from advancing a release."""
        return self._command(event, tx, lambda state: transitions.set_paused(state, True, event.wall_time_ms))

    def resume(self, event: Envelope[control.Resume], tx: Transaction) -> Sequence[Draft]:
        """Let verdicts advance releases again."""
        return self._command(event, tx, lambda state: transitions.set_paused(state, False, event.wall_time_ms))

    def route_failed(self, event: Envelope[serving.RouteFailed], tx: Transaction) -> Sequence[Draft]:
        """End the release behind the newest route, and publish the previous route again."""
        data = event.data
        metrics.ROUTES_FAILED.add(loop=data.loop)
        why = f"route {data.epoch} failed on {data.release_id or 'no release'}: {data.reason}"
        _, events = self._apply(
            event,
            self.ledger(tx.connection),
            lambda state: transitions.fail_route(state, data.epoch, why, (event.id,), event.time_ms, self._gone(state)),
        )
        return events

    def route_converged(self, event: Envelope[serving.RouteConverged], tx: Transaction) -> Sequence[Draft]:
        """Record the route that the router serves."""
        self.ledger(tx.connection).converged(event.data.loop, event.data.epoch)
        metrics.CONVERGED_EPOCH.set(event.data.epoch, loop=event.data.loop)
        return []

    def _command(self, event: Envelope[Any], tx: Transaction, transition: Transition) -> Sequence[Draft]:
        self._policy(event.data.loop)
        change, events = self._apply(event, self.ledger(tx.connection), transition)
        name = event.data.DESCRIPTOR.name.lower()
        metrics.COMMANDS.add(loop=event.data.loop, command=name, effect=_effect(change))
        return [command_ignored(event, name, change.ignored)] if change.ignored else events

    def _apply(self, event: Envelope[Any], ledger: Ledger, transition: Transition) -> tuple[Change, list[Draft]]:
        before = ledger.load(event.data.loop)
        change = transition(before)
        if change.ignored:
            if change.state.paused_wall_ms != before.paused_wall_ms:
                ledger.save(before, change.state, ())
            log.get(__name__).info("ignored", type=event.type, cause=event.id, because=change.ignored)
            return change, []
        ledger.save(before, change.state, change.touched)
        chain = change.touched[0].chain if change.touched else event.correlation_id
        events = drafts(change, chain, self._rollback_to(change.state))
        set_gauges(change.state)
        for draft in events:
            if isinstance(draft.data, registry.StageEntered):
                metrics.STAGES.add(loop=change.state.loop, stage=draft.data.stage)
        return change, events

    def _gone(self, state: LoopReleases) -> str:
        """Return why the previous champion cannot answer any more; empty if it can, or if there is none."""
        return self.gone(state.loop, state.former[-1]) if state.former else ""

    def _rollback_to(self, state: LoopReleases) -> ReleaseRecord | None:
        return state.former[-1] if state.former and not self._gone(state) else None

    def _policy(self, loop: str) -> Policy:
        return of_loop(self.policies, loop)


def rollout_policy(loop: LoopDefinition) -> Policy:
    """Return a loop's rollout policy."""
    return Policy(loop.rollout.steps, to_ms(loop.monitoring.block))


def _verdict(event: Envelope[evaluation.VerdictReached]) -> Verdict:
    data = event.data
    if data.outcome == evaluation.OUTCOME_UNSPECIFIED:
        raise InvalidEvent("missing-field", "a verdict needs an outcome")
    return Verdict(
        release_id=data.release_id,
        stage=data.stage,
        outcome=VerdictOutcome[evaluation.Outcome.Name(data.outcome)],
        time_ms=event.time_ms,
        step=verdict_step(data),
        limit_reached=data.limit_reached,
        evidence=(event.id, *data.evidence_ids),
        reason="; ".join(data.reasons),
    )


def _candidate(event: Envelope[evaluation.VerdictReached]) -> ReleaseRecord:
    data = event.data
    if not (data.release_id and data.bundle.uri and data.bundle.digest):
        raise InvalidEvent("missing-field", "an offline verdict needs release_id, bundle.uri and bundle.digest")
    return ReleaseRecord(
        release_id=data.release_id,
        run_id=data.run_id,
        request_id=data.request_id,
        bundle_uri=data.bundle.uri,
        bundle_digest=data.bundle.digest,
        chain=event.correlation_id,
    )


def _reason(event: Envelope[Any], done: str) -> str:
    who, why = event.data.who, event.data.why
    return f"{done} by {who or 'an unknown user'}" + (f": {why}" if why else "")


def _effect(change: Change) -> str:
    return "ignored" if change.ignored else "applied"


def set_gauges(state: LoopReleases) -> None:
    """Set the gauges of a loop."""
    metrics.EPOCH.set(state.epoch, loop=state.loop)
    metrics.OPEN_RELEASES.set(int(state.open is not None), loop=state.loop)
    waits = state.open is not None and state.open.approval_deadline_ms is not None
    metrics.APPROVALS_WAITING.set(int(waits), loop=state.loop)


def table(service: Registry) -> HandlerTable:
    """Return the handler table."""
    return {
        evaluation.VerdictReached: service.verdict_reached,
        control.Approve: service.approve,
        control.Reject: service.reject,
        control.Rollback: service.roll_back,
        control.Pause: service.pause,
        control.Resume: service.resume,
        serving.RouteConverged: service.route_converged,
        serving.RouteFailed: service.route_failed,
    }

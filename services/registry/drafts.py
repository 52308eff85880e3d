"""Turns changes into events with derived ids."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import registry_pb2 as messages
from driftloop.contracts import training_pb2 as training
from driftloop.events import ids
from driftloop.events.envelope import Draft, Envelope
from services.registry.domain.release import (
    ApprovalRequested,
    Change,
    Created,
    Entered,
    Fact,
    LoopReleases,
    Promoted,
    Rejected,
    ReleaseRecord,
    RolledBack,
    Routed,
)


def drafts(change: Change, chain: str) -> list[Draft]:
    """Return the events of a change, all in one chain, at the event time of its decision."""
    state = change.state
    events = [_draft(state, fact) for fact in change.facts]
    return [
        Draft(id=event_id, loop=state.loop, time_ms=state.time_ms, data=data, chain=chain) for event_id, data in events
    ]


def command_ignored(event: Envelope[Any], command: str, because: str) -> Draft:
    """Return the event that says why a command had no effect."""
    loop = event.data.loop
    data = messages.CommandIgnored(loop=loop, command_id=event.id, command=command, reason=because)
    return Draft(ids.event_id("registry.command-ignored", loop, event.id), loop, event.time_ms, data)


def _draft(state: LoopReleases, fact: Fact) -> tuple[str, Message]:
    loop, release = state.loop, fact.release.release_id if not isinstance(fact, Routed) else ""
    match fact:
        case Created():
            return ids.event_id("registry.release-created", loop, release), _created(loop, fact.release)
        case Entered():
            at = fact.release
            return ids.event_id("registry.stage-entered", loop, release, at.stage, at.epoch), _entered(loop, fact)
        case Routed():
            return ids.event_id("registry.route-changed", loop, fact.epoch), _routed(loop, fact)
        case Promoted():
            return ids.event_id("registry.champion-promoted", loop, release, fact.release.epoch), _promoted(loop, fact)
        case Rejected():
            return ids.event_id("registry.release-rejected", loop, release), _rejected(loop, fact)
        case RolledBack():
            return ids.event_id("registry.release-rolled-back", loop, release, fact.release.epoch), _rolled_back(
                loop, fact
            )
        case ApprovalRequested():
            step = fact.release.step
            return ids.event_id("registry.approval-requested", loop, release, step, state.time_ms), _approval_asked(
                loop, fact
            )


def _ref(release: ReleaseRecord) -> messages.ReleaseRef:
    bundle = training.Bundle(uri=release.bundle_uri, digest=release.bundle_digest)
    return messages.ReleaseRef(release_id=release.release_id, bundle=bundle)


def _created(loop: str, release: ReleaseRecord) -> Message:
    return messages.ReleaseCreated(
        loop=loop, release=_ref(release), request_id=release.request_id, run_id=release.run_id
    )


def _entered(loop: str, fact: Entered) -> Message:
    release = fact.release
    return messages.StageEntered(
        loop=loop,
        release_id=release.release_id,
        stage=release.stage,
        from_stage=release.from_stage,
        share=release.share,
        epoch=release.epoch,
        step=release.step,
        champion_release_id=fact.champion_id,
        reason=fact.reason,
    )


def _routed(loop: str, fact: Routed) -> Message:
    challenger = fact.challenger
    return messages.RouteChanged(
        loop=loop,
        epoch=fact.epoch,
        champion=_ref(fact.champion),
        challenger=None if challenger is None else _ref(challenger),
        challenger_share=challenger.share if challenger else 0.0,
        stage=fact.stage,
    )


def _promoted(loop: str, fact: Promoted) -> Message:
    return messages.ChampionPromoted(
        loop=loop,
        release_id=fact.release.release_id,
        previous_release_id=fact.previous_id,
        epoch=fact.release.epoch,
        evidence_ids=fact.evidence,
    )


def _rejected(loop: str, fact: Rejected) -> Message:
    return messages.ReleaseRejected(
        loop=loop,
        release_id=fact.release.release_id,
        stage=fact.stage,
        reason=fact.reason,
        evidence_ids=fact.evidence,
    )


def _rolled_back(loop: str, fact: RolledBack) -> Message:
    return messages.ReleaseRolledBack(
        loop=loop,
        release_id=fact.release.release_id,
        from_stage=fact.from_stage,
        to_release_id=fact.to_id,
        reason=fact.reason,
        evidence_ids=fact.evidence,
    )


def _approval_asked(loop: str, fact: ApprovalRequested) -> Message:
    return messages.ApprovalRequested(
        loop=loop, release_id=fact.release.release_id, to_stage=fact.to_stage, deadline_ms=fact.deadline_ms
    )

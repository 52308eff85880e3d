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


def drafts(change: Change, chain: str, rollback_to: ReleaseRecord | None = None) -> list[Draft]:
    """Return the events of a change, all in one chain, at the event time of its decision.

    ``rollback_to``: the champion that a rollback restores after the change.
    """
    loop, time_ms = change.state.loop, change.state.time_ms
    events = [_event(change.state, fact, rollback_to) for fact in change.facts]
    return [
        Draft(ids.event_id(f"registry.{kind}", loop, *key), loop, time_ms, data, chain=chain)
        for kind, key, data in events
    ]


def command_ignored(event: Envelope[Any], command: str, because: str) -> Draft:
    """Return the event that says why a command had no effect."""
    loop = event.data.loop
    data = messages.CommandIgnored(loop=loop, command_id=event.id, command=command, reason=because)
    return Draft(ids.event_id("registry.command-ignored", loop, event.id), loop, event.time_ms, data)


def _event(
    state: LoopReleases, fact: Fact, rollback_to: ReleaseRecord | None
) -> tuple[str, tuple[str | int, ...], Message]:
    """Return the kind of a fact's event, the parts of its id and its message."""
    loop = state.loop
    if isinstance(fact, Routed):
        challenger = fact.challenger
        return (
            "route-changed",
            (fact.epoch,),
            messages.RouteChanged(
                loop=loop,
                epoch=fact.epoch,
                champion=_ref(fact.champion),
                challenger=_ref(challenger) if challenger else None,
                challenger_share=challenger.share if challenger else 0.0,
                stage=fact.stage,
                rollback_to=_ref(rollback_to) if rollback_to else None,
            ),
        )
    release = fact.release
    release_id, epoch = release.release_id, release.epoch
    match fact:
        case Created():
            return (
                "release-created",
                (release_id,),
                messages.ReleaseCreated(
                    loop=loop, release=_ref(release), request_id=release.request_id, run_id=release.run_id
                ),
            )
        case Entered():
            return (
                "stage-entered",
                (release_id, release.stage, epoch),
                messages.StageEntered(
                    loop=loop,
                    release_id=release_id,
                    stage=release.stage,
                    from_stage=release.from_stage,
                    share=release.share,
                    epoch=epoch,
                    step=release.step,
                    champion_release_id=fact.champion_id,
                    reason=fact.reason,
                ),
            )
        case Promoted():
            return (
                "champion-promoted",
                (release_id, epoch),
                messages.ChampionPromoted(
                    loop=loop,
                    release_id=release_id,
                    previous_release_id=fact.previous_id,
                    epoch=epoch,
                    evidence_ids=fact.evidence,
                ),
            )
        case Rejected():
            return (
                "release-rejected",
                (release_id,),
                messages.ReleaseRejected(
                    loop=loop,
                    release_id=release_id,
                    stage=fact.stage,
                    reason=fact.reason,
                    evidence_ids=fact.evidence,
                    cause=fact.cause,
                ),
            )
        case RolledBack():
            return (
                "release-rolled-back",
                (release_id, epoch),
                messages.ReleaseRolledBack(
                    loop=loop,
                    release_id=release_id,
                    from_stage=fact.from_stage,
                    to_release_id=fact.to_id,
                    reason=fact.reason,
                    evidence_ids=fact.evidence,
                    cause=fact.cause,
                ),
            )
        case ApprovalRequested():
            return (
                "approval-requested",
                (release_id, release.step, state.time_ms),
                messages.ApprovalRequested(
                    loop=loop, release_id=release_id, to_stage=fact.to_stage, deadline_ms=fact.deadline_ms
                ),
            )


def _ref(release: ReleaseRecord) -> messages.ReleaseRef:
    bundle = training.Bundle(uri=release.bundle_uri, digest=release.bundle_digest)
    return messages.ReleaseRef(release_id=release.release_id, bundle=bundle)

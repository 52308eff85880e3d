"""Ids of registry events do not change between versions: a repeated event must have the id of the first."""

from __future__ import annotations

from dataclasses import replace

from driftloop.events import ids
from driftloop.events.release_end import ReleaseEnd
from services.registry.domain import transitions as machine
from services.registry.domain.release import ApprovalRequested, Change, LoopReleases, Rejected, RolledBack, Stage
from services.registry.drafts import drafts
from tests.unit.registry.builders import candidate, offline, policy


def test_ids_of_a_first_champion_are_those_of_every_version() -> None:
    change = machine.judge_offline(LoopReleases("orders"), candidate(1), offline(1), policy())
    events = {type(draft.data).__name__: draft.id for draft in drafts(change, "chain-1")}
    assert events == {
        "ReleaseCreated": ids.event_id("registry.release-created", "orders", "r-1"),
        "StageEntered": ids.event_id("registry.stage-entered", "orders", "r-1", "champion", 1),
        "ChampionPromoted": ids.event_id("registry.champion-promoted", "orders", "r-1", 1),
        "RouteChanged": ids.event_id("registry.route-changed", "orders", 1),
    }


def test_ids_of_the_ends_of_a_release_are_those_of_every_version() -> None:
    release = replace(candidate(2), step=1, epoch=4)
    facts = (
        Rejected(release, "shadow", "worse", (), ReleaseEnd.WORSE),
        RolledBack(release, Stage.CANARY, "r-1", "worse", (), ReleaseEnd.WORSE),
        ApprovalRequested(release, Stage.CHAMPION, 9),
    )
    change = Change(LoopReleases("orders", time_ms=5), facts)
    events = {type(draft.data).__name__: draft.id for draft in drafts(change, "chain-2")}
    assert events == {
        "ReleaseRejected": ids.event_id("registry.release-rejected", "orders", "r-2"),
        "ReleaseRolledBack": ids.event_id("registry.release-rolled-back", "orders", "r-2", 4),
        "ApprovalRequested": ids.event_id("registry.approval-requested", "orders", "r-2", 1, 5),
    }

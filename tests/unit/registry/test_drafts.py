"""Ids of registry events do not change between versions: a repeated event must have the id of the first."""

from __future__ import annotations

from driftloop.events import ids
from services.registry.domain import transitions as machine
from services.registry.domain.release import LoopReleases
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

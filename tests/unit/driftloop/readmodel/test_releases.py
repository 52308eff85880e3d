from __future__ import annotations

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import registry_pb2 as registry
from driftloop.readmodel.loop_history import LoopHistory
from tests.helpers.event_log import LOOP, two_champions

FIRST, SECOND = LoopHistory(LOOP, two_champions().events).releases.values()


def test_a_release_knows_its_stages_and_where_it_came_from() -> None:
    assert [each.stage for each in SECOND.stages] == ["shadow", "canary", "champion", "rolled-back"]
    assert [each.stage for each in FIRST.stages] == ["champion", "retired", "champion"]
    assert (SECOND.run_id, SECOND.request_id, SECOND.bundle_uri) == ("run-2", "q-2", "/bundles/run-2")
    assert SECOND.correlation_id == f"{LOOP}:drift"
    assert SECOND.ended_because == "rolled back by anna: complaints"
    assert SECOND.trained is not None
    assert SECOND.trained.data.training_rows == 900


def test_its_verdicts_are_in_the_order_in_which_they_fell() -> None:
    assert [each.data.stage for each in SECOND.verdicts] == ["offline", "shadow", "canary"]


def test_a_candidate_that_is_refused_offline_never_entered_a_stage() -> None:
    log = two_champions()
    log.offline_verdict(3, "third", evaluation.WORSE)
    data = registry.ReleaseRejected(release_id="r-3", stage="offline", reason="no better than the base rate")
    log.add("rejected 3", data, "third", "offline 3")
    found = list(LoopHistory(LOOP, log.events).releases.values())[-1]
    assert (found.release_id, found.stage, found.ended_because) == ("r-3", "rejected", "no better than the base rate")

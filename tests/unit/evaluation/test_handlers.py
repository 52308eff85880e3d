from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events import ids
from driftloop.events.envelope import Draft
from driftloop.process.errors import InvalidEvent, OtherLoop
from driftloop.runner.handler import Transaction
from driftloop.runner.tables import open_database
from services.evaluation.adapters.sql import SqlState, metadata
from services.evaluation.handlers import Evaluation, table
from services.evaluation.offline_evaluation import Judge
from tests.helpers.clock import FakeClock
from tests.unit.evaluation.definitions import DAY_MS, loop_definition
from tests.unit.evaluation.events import envelope
from tests.unit.evaluation.fakes import FakeBundles, FakeHoldout, FakeHoldouts, FakeScorer

OLD, NEW = (ids.short_id("r", "orders", run) for run in ("old", "new"))


class Service:
    """The handlers over SQLite and fakes."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_database(f"sqlite:///{folder / 'evaluation.db'}", metadata)
        bundles = FakeBundles({"/b/old": FakeScorer(weight=0.9), "/b/new": FakeScorer()})
        judge = Judge(
            bundles,
            FakeHoldouts({"/h/old": FakeHoldout(recorded_weight=0.9), "/h/new": FakeHoldout()}),
            FakeClock(tick_s=0.001),
        )
        loops = {name: loop_definition(name) for name in ("orders", "other")}
        self.table = table(Evaluation(loops, judge, FakeClock(tick_s=0.001), SqlState))
        self.sent: list[Draft] = []

    def take(self, data: Message, time_ms: int = 0, event_id: str = "", chain: str = "chain") -> Sequence[Draft]:
        with self.engine.begin() as connection:
            event = envelope(event_id or f"{type(data).__name__}-{time_ms}", data, time_ms, chain)
            made = self.table[type(data)](event, Transaction(connection))
        self.sent += made
        return made

    def close_window(self, day: int, gain: float | None = None, **changes: Any) -> list[Draft]:
        """Close the window of a day. ``gain`` is the gain of its paired rows; without it there are no paired rows."""
        pairs = [] if gain is None else [pair(day, gain), pair(day, gain - 1.0, "shop=north")]
        window = monitoring.WindowClosed(
            **{
                "loop": "orders",
                "window_id": f"w-{day}",
                "start_ms": day * DAY_MS,
                "end_ms": (day + 1) * DAY_MS,
                **changes,
            },
            paired=pairs,
        )
        return list(self.take(window, (day + 1) * DAY_MS, event_id=f"closed-{day}-{window.loop}"))


def pair(day: int, gain: float, piece: str = "") -> monitoring.PairedBlock:
    return monitoring.PairedBlock(
        champion_release_id=OLD,
        challenger_release_id=NEW,
        block_start_ms=day * DAY_MS,
        count=100,
        champion_loss_sum=50.0 + day % 2,
        challenger_loss_sum=50.0 - 100 * gain,
        slice=piece,
    )


def trained(run: str, loop: str = "orders") -> training.CandidateTrained:
    return training.CandidateTrained(
        loop=loop,
        request_id="request",
        run_id=run,
        bundle=training.Bundle(uri=f"/b/{run}", digest="digest"),
        holdout_uri=f"/h/{run}",
    )


def entered(release: str, stage: str, epoch: int, step: int = -1, loop: str = "orders") -> registry.StageEntered:
    champion = release if stage == "champion" else OLD
    return registry.StageEntered(
        loop=loop, release_id=release, stage=stage, epoch=epoch, step=step, champion_release_id=champion
    )


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path)
    yield running
    running.engine.dispose()


@pytest.fixture
def shadowing(service: Service) -> Service:
    """Return a service with a champion, and a challenger in shadow since day 10."""
    service.take(entered(OLD, "champion", 1))
    service.take(entered(NEW, "shadow", 2, step=0), 10 * DAY_MS, chain="chain of the release")
    return service


def verdict(drafts: Sequence[Draft]) -> evaluation.VerdictReached:
    [reached] = [draft.data for draft in drafts if isinstance(draft.data, evaluation.VerdictReached)]
    return reached


def decided(drafts: Sequence[Draft]) -> monitoring.WindowDecided:
    [answer] = [draft.data for draft in drafts if isinstance(draft.data, monitoring.WindowDecided)]
    return answer


def test_the_first_candidate_is_compared_with_the_base_rate(service: Service) -> None:
    drafts = service.take(trained("old"), 5 * DAY_MS)
    reached = verdict(drafts)
    assert (reached.stage, reached.outcome) == ("offline", evaluation.BETTER)
    assert (reached.release_id, reached.run_id, reached.request_id) == (OLD, "old", "request")
    assert (reached.champion_release_id, reached.bundle.uri) == ("", "/b/old")
    assert reached.interval.lower > 0
    assert reached.verdict_id == drafts[0].id
    assert drafts[0].time_ms == 5 * DAY_MS


def test_a_later_candidate_is_compared_with_the_champion(service: Service) -> None:
    service.take(trained("old"))
    service.take(entered(OLD, "champion", 1))
    reached = verdict(service.take(trained("new"), DAY_MS))
    assert reached.champion_release_id == OLD
    assert reached.metrics["champion_loss"] > reached.metrics["loss"]


def test_a_candidate_without_a_bundle_gets_a_verdict(service: Service) -> None:
    reached = verdict(service.take(trained("lost")))
    assert reached.outcome == evaluation.WORSE
    assert not reached.HasField("interval")


def test_a_window_without_an_open_release_is_answered_and_opens_nothing(service: Service) -> None:
    answer = decided(service.close_window(1))
    assert (answer.decider, answer.window_id, list(answer.opened)) == ("evaluation", "w-1", [])


def test_each_window_in_shadow_gets_one_verdict_in_the_releases_chain(shadowing: Service) -> None:
    drafts = shadowing.close_window(10, 0.1)
    reached = verdict(drafts)
    assert (reached.stage, reached.outcome, reached.limit_reached) == ("shadow", evaluation.NOT_KNOWN_YET, False)
    assert (reached.champion_release_id, reached.release_id, reached.step) == (OLD, NEW, 0)
    assert drafts[0].chain == "chain of the release"
    assert list(decided(drafts).opened) == [drafts[0].id]
    assert drafts[0].id == reached.verdict_id


def test_enough_good_blocks_are_better_and_list_their_evidence(shadowing: Service) -> None:
    for day in (10, 11):
        shadowing.close_window(day, 0.1)
    reached = verdict(shadowing.close_window(12, 0.1))
    assert reached.outcome == evaluation.BETTER
    assert list(reached.evidence_ids) == ["closed-10-orders", "closed-11-orders", "closed-12-orders"]
    assert (reached.interval.blocks, reached.interval.rows) == (3, 300)
    assert [part.name for part in reached.slices] == ["shop=north"]


def test_a_release_whose_step_was_removed_is_judged_by_the_last_step(service: Service) -> None:
    service.take(entered(OLD, "champion", 1))
    service.take(entered(NEW, "canary", 2, step=7), 10 * DAY_MS)
    for day in (10, 11, 12):
        service.close_window(day, 0.1)
    reached = verdict(service.close_window(13, 0.1))
    assert (reached.stage, reached.step, reached.outcome) == ("canary", 7, evaluation.BETTER)


def test_windows_without_paired_rows_wait(shadowing: Service) -> None:
    for day in range(10, 30):
        reached = verdict(shadowing.close_window(day))
        assert (reached.outcome, reached.limit_reached) == (evaluation.NOT_KNOWN_YET, False)


def test_a_window_from_before_the_stage_opens_nothing_but_its_pairs_are_stored(shadowing: Service) -> None:
    assert list(decided(shadowing.close_window(9, 0.1)).opened) == []
    for day in (10, 11):
        shadowing.close_window(day, 0.1)
    reached = verdict(shadowing.close_window(12, 0.1))
    assert reached.interval.blocks == 4
    assert reached.metrics["stage_blocks"] == 3


def test_the_next_window_judges_pairs_that_arrived_before_the_stage(service: Service) -> None:
    service.take(entered(OLD, "champion", 1))
    assert list(decided(service.close_window(10, 0.1)).opened) == []
    service.take(entered(NEW, "shadow", 2, step=0), 10 * DAY_MS)
    service.close_window(11, 0.1)
    assert verdict(service.close_window(12, 0.1)).outcome == evaluation.BETTER


def test_a_canary_counts_from_its_own_start(shadowing: Service) -> None:
    for day in (10, 11, 12):
        shadowing.close_window(day, 0.1)
    shadowing.take(entered(NEW, "canary", 3, step=1), 13 * DAY_MS)
    first, second = (verdict(shadowing.close_window(day, -0.5)) for day in (13, 14))
    assert (first.stage, first.outcome) == ("canary", evaluation.NOT_KNOWN_YET)
    assert (second.outcome, second.interval.blocks) == (evaluation.WORSE, 2)
    assert second.margin == pytest.approx(-0.02)
    assert list(second.evidence_ids) == ["closed-13-orders", "closed-14-orders"]


@pytest.mark.parametrize(
    "end",
    [
        registry.ReleaseRejected(loop="orders", release_id=NEW),
        registry.ReleaseRolledBack(loop="orders", release_id=NEW),
        entered(NEW, "rejected", 3),
        entered(NEW, "champion", 3),
    ],
)
def test_an_ended_release_is_no_longer_judged(shadowing: Service, end: Message) -> None:
    shadowing.take(end, 11 * DAY_MS)
    assert list(decided(shadowing.close_window(12, 0.1)).opened) == []


def test_a_late_stage_with_an_older_epoch_is_ignored(shadowing: Service) -> None:
    shadowing.take(entered(NEW, "rejected", 3), 11 * DAY_MS)
    shadowing.take(entered(NEW, "shadow", 2, step=0), 10 * DAY_MS)
    assert list(decided(shadowing.close_window(12, 0.1)).opened) == []


def test_a_rolled_back_champion_is_no_longer_champion(service: Service) -> None:
    service.take(trained("old"))
    service.take(trained("new"))
    service.take(entered(OLD, "champion", 1))
    service.take(registry.ChampionPromoted(loop="orders", release_id=NEW, previous_release_id=OLD, epoch=4))
    service.take(entered(NEW, "champion", 4))
    service.take(entered(NEW, "rolled-back", 5))
    service.take(entered(OLD, "champion", 5))
    assert verdict(service.take(trained("new"), event_id="again")).champion_release_id == OLD


def test_rolling_back_the_first_champion_leaves_no_champion(service: Service) -> None:
    service.take(trained("old"))
    service.take(entered(OLD, "champion", 1))
    gone = entered(OLD, "rolled-back", 2)
    gone.champion_release_id = ""
    service.take(gone)
    assert verdict(service.take(trained("new"))).champion_release_id == ""


def test_loops_do_not_mix(shadowing: Service) -> None:
    for day in (10, 11, 12):
        shadowing.close_window(day, 0.1)
    assert list(decided(shadowing.close_window(13, None, loop="other")).opened) == []


def test_the_same_windows_give_the_same_verdicts(tmp_path: Path) -> None:
    verdicts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        service = Service(tmp_path / name)
        service.take(entered(NEW, "shadow", 2, step=0), 10 * DAY_MS)
        for day in range(10, 15):
            service.close_window(day, 0.01)
        verdicts.append([draft.data.SerializeToString(deterministic=True) for draft in service.sent])
        service.engine.dispose()
    assert verdicts[0] == verdicts[1]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (trained("old", loop="No Body"), "malformed-loop"),
        (trained(""), "missing-field"),
        (monitoring.WindowClosed(loop="", window_id="w"), "malformed-loop"),
    ],
)
def test_an_event_that_cannot_be_handled_is_invalid(service: Service, data: Message, reason: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        service.take(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize("data", [trained("old", loop="others"), monitoring.WindowClosed(loop="others", window_id="w")])
def test_an_event_of_a_loop_that_runs_elsewhere_is_skipped(service: Service, data: Message) -> None:
    with pytest.raises(OtherLoop, match="others"):
        service.take(data)

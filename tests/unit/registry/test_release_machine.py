"""Check the release machine and its rows under any sequence of events."""

from __future__ import annotations

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from driftloop.events.verdict_outcome import VerdictOutcome
from services.registry.adapters.sql import SqlLedger, metadata
from services.registry.domain import transitions as machine
from services.registry.domain.release import Change, LoopReleases, ReleaseRecord, Routed, Stage
from services.registry.domain.verdict import Verdict
from tests.unit.registry.builders import CANARY, SHADOW, WIDER, candidate, offline, policy

OPEN = {Stage.SHADOW, Stage.CANARY}
ENDS = {Stage.REJECTED, Stage.ROLLED_BACK}

LOOP = "orders"
POLICIES = (policy(SHADOW, CANARY), policy({**SHADOW, "approval": True}, CANARY, {**WIDER, "approval": True}))

MOSTLY_BETTER = st.sampled_from([VerdictOutcome.BETTER] * 4 + [VerdictOutcome.WORSE, VerdictOutcome.NOT_KNOWN_YET])
"""Other weights rarely reach a second champion."""


ENGINE = create_engine("sqlite://", poolclass=StaticPool)
metadata.create_all(ENGINE)


class Releases(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.connection: Connection = ENGINE.connect()
        for table in metadata.sorted_tables:
            self.connection.execute(table.delete())
        self.state = LoopReleases(LOOP)
        self.policy = POLICIES[0]
        self.rows: dict[str, ReleaseRecord] = {}
        self.epochs: list[int] = []
        self.now = 0
        self.number = 0
        self.newest: Verdict | None = None

    def apply(self, change: Change) -> None:
        if change.ignored:
            assert not change.facts
            return
        assert change.state.time_ms >= self.state.time_ms
        event(f"{len(change.state.former)} former champions")
        for fact in change.facts:
            event(type(fact).__name__)
            if isinstance(fact, Routed):
                assert fact.champion == change.state.champion
                assert fact.challenger == change.state.open
                self.epochs.append(fact.epoch)
        for release in change.touched:
            old = self.rows.get(release.release_id)
            assert old is None or old.stage not in ENDS, "a final stage changed"
            assert old is None or old.stage is not Stage.RETIRED or release.stage is Stage.CHAMPION
            assert old is None or old.stage is release.stage or release.epoch > old.epoch
            self.rows[release.release_id] = release
        ledger = SqlLedger(self.connection)
        assert ledger.load(LOOP) == self.state
        ledger.save(self.state, change.state, change.touched)
        self.state = change.state

    @initialize(selected=st.sampled_from(POLICIES), champions=st.integers(0, 3))
    def begin(self, selected: machine.Policy, champions: int) -> None:
        for _ in range(champions):
            self.judge_offline(VerdictOutcome.BETTER, 1)
            while self.state.open is not None:
                self.judge_open_release(VerdictOutcome.BETTER, False, 1, True)
        self.policy = selected

    @rule(outcome=MOSTLY_BETTER, hours=st.integers(-2, 30))
    def judge_offline(self, outcome: VerdictOutcome, hours: int) -> None:
        self.number += 1
        self.now += hours
        verdict = offline(self.number, outcome, self.now)
        self.apply(machine.judge_offline(self.state, candidate(self.number), verdict, self.policy))

    @rule(outcome=MOSTLY_BETTER, limit=st.booleans(), hours=st.integers(0, 100), known_step=st.booleans())
    def judge_open_release(self, outcome: VerdictOutcome, limit: bool, hours: int, known_step: bool) -> None:
        release = self.state.open
        if release is None:
            return self.judge_offline(outcome, hours)
        self.now += hours
        reached = limit and outcome is VerdictOutcome.NOT_KNOWN_YET
        step = release.step if known_step else None
        self.newest = Verdict(release.release_id, release.stage, outcome, self.now, step, reached)
        return self.apply(machine.judge_stage(self.state, self.newest, self.policy))

    @rule()
    def judge_again(self) -> None:
        """A late verdict changes nothing unless its step is still open."""
        if self.newest is None:
            return
        change = machine.judge_stage(self.state, self.newest, self.policy)
        release = self.state.open
        if release is None or release.release_id != self.newest.release_id:
            assert change.ignored
        self.apply(change)

    @rule(hours=st.integers(0, 30))
    def approve(self, hours: int) -> None:
        self.apply(machine.approve(self.state, self._open_id(), "yes", (), self.now + hours, self.policy))

    @rule(action=st.sampled_from(["reject", "roll back", "fail", "fail the last", "pause", "resume", "resume"]))
    def command(self, action: str) -> None:
        epoch = self.state.epoch
        changes = {
            "reject": lambda: machine.reject(self.state, self._open_id(), "no", (), self.now),
            "roll back": lambda: machine.roll_back(self.state, "back", (), self.now),
            "fail": lambda: machine.fail_route(self.state, epoch, "no probe", (), self.now),
            "fail the last": lambda: machine.fail_route(self.state, epoch - 1, "no probe", (), self.now),
            "pause": lambda: machine.set_paused(self.state, True, self.state.paused_wall_ms + 1),
            "resume": lambda: machine.set_paused(self.state, False, self.state.paused_wall_ms + 1),
        }
        self.apply(changes[action]())

    @invariant()
    def epochs_increase(self) -> None:
        assert all(before < after for before, after in zip(self.epochs, self.epochs[1:], strict=False))
        assert not self.epochs or self.epochs[-1] <= self.state.epoch

    @invariant()
    def there_is_one_champion(self) -> None:
        champions = [release for release in self.rows.values() if release.stage is Stage.CHAMPION]
        assert champions == ([self.state.champion] if self.state.champion else [])

    @invariant()
    def at_most_one_release_is_open_and_beside_a_champion(self) -> None:
        open_releases = [release for release in self.rows.values() if release.stage in OPEN]
        assert open_releases == ([self.state.open] if self.state.open else [])
        assert self.state.champion is not None or self.state.open is None

    @invariant()
    def the_open_release_can_always_end(self) -> None:
        release = self.state.open
        if release is None:
            return
        worse = Verdict(release.release_id, release.stage, VerdictOutcome.WORSE, release.entered_ms + 1, release.step)
        exits = (
            machine.judge_stage(self.state, worse, self.policy),
            machine.roll_back(self.state, "back", (), self.now),
            machine.reject(self.state, release.release_id, "no", (), self.now),
            machine.fail_route(self.state, self.state.epoch, "no probe", (), self.now),
        )
        for change in exits:
            assert change.state.open is None
            assert change.state.champion == self.state.champion
            assert change.touched[0].stage in ENDS

    def _open_id(self) -> str:
        return self.state.open.release_id if self.state.open else ""

    def teardown(self) -> None:
        self.connection.close()


TestReleases = Releases.TestCase
TestReleases.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)

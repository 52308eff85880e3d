"""The release state machine: pure functions from a loop's state and an event to the next state and its facts.

It applies verdicts and commands and makes none. Event time never decreases within a loop: a change has the later of the
event's time and the newest known time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from driftloop.events.release_end import ReleaseEnd
from driftloop.events.verdict_outcome import VerdictOutcome
from driftloop.loop.definition import Step, to_ms
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
    Stage,
)
from services.registry.domain.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Policy:
    """A loop's rollout."""

    steps: Sequence[Step]
    """At least one step, in order."""
    block_ms: int
    """Length of a block of event time."""

    def step(self, index: int) -> Step:
        """Return a step, or the last one if the policy became shorter during the rollout."""
        return self.steps[min(index, len(self.steps) - 1)]


def judge_offline(state: LoopReleases, candidate: ReleaseRecord, verdict: Verdict, policy: Policy) -> Change:
    """Enter the first step on a pass, or become the first champion. Reject on a failure or if the loop is busy."""
    state = _advance_time(state, verdict.time_ms)
    obstacle = _obstacle(state, verdict)
    if obstacle is not None:
        ended = replace(candidate, stage=Stage.REJECTED, entered_ms=state.time_ms)
        cause, reason = obstacle
        return Change(state, (Rejected(ended, "offline", reason, verdict.evidence, cause),), (ended,))
    opened = (Created(candidate),)
    if state.champion is None:
        return _promote(state, candidate, verdict.reason, verdict.evidence, opened)
    return _enter_step(state, candidate, 0, verdict.reason, policy, opened)


def judge_stage(state: LoopReleases, verdict: Verdict, policy: Policy) -> Change:
    """Advance the open release if better; end it if worse or at the limit. Ignore a verdict on another step."""
    release = state.open
    if release is None or not _matches(verdict, release):
        return Change(state, ignored=f"{verdict.release_id} is not in {verdict.stage} step {verdict.step}")
    state = _advance_time(state, verdict.time_ms)
    if verdict.outcome is VerdictOutcome.WORSE:
        return _end_open(
            state, release, verdict.reason or "worse than the champion", verdict.evidence, ReleaseEnd.WORSE
        )
    step, deadline = policy.step(release.step), release.approval_deadline_ms
    overdue = deadline is not None and verdict.time_ms > deadline
    if overdue and (step.approval_else == "reject" or (verdict.limit_reached and not _better(verdict))):
        return _end_open(state, release, "it was not approved in time", verdict.evidence, ReleaseEnd.NOT_APPROVED)
    if _better(verdict):
        if state.paused or (step.approval and not overdue):
            return _request_approval(state, release, policy)
        prefix = "no objection before the deadline; " if overdue else ""
        return _advance(state, release, prefix + verdict.reason, verdict.evidence, policy)
    if verdict.limit_reached and deadline is None:
        reason = verdict.reason or "the stage's limit is reached"
        return _end_open(state, release, reason, verdict.evidence, ReleaseEnd.UNCLEAR)
    if verdict.limit_reached:
        return _request_approval(state, release, policy)
    return Change(state, ignored="not known yet")


def _better(verdict: Verdict) -> bool:
    return verdict.outcome is VerdictOutcome.BETTER


def approve(
    state: LoopReleases, release_id: str, reason: str, evidence: tuple[str, ...], time_ms: int, policy: Policy
) -> Change:
    """Advance the release that waits for approval."""
    release = state.open
    if release is None or release.release_id != release_id or release.approval_deadline_ms is None:
        return Change(state, ignored=f"{release_id or 'no release'} does not wait for an approval")
    return _advance(_advance_time(state, time_ms), release, reason, evidence, policy)


def reject(state: LoopReleases, release_id: str, reason: str, evidence: tuple[str, ...], time_ms: int) -> Change:
    """End the open release."""
    if state.open is None or state.open.release_id != release_id:
        return Change(state, ignored=f"{release_id or 'no release'} is not open")
    return _end_open(_advance_time(state, time_ms), state.open, reason, evidence, ReleaseEnd.COMMAND)


def roll_back(state: LoopReleases, reason: str, evidence: tuple[str, ...], time_ms: int, gone: str = "") -> Change:
    """Roll back the newest change: the open release, or else the champion in favour of the previous one.

    ``gone``: why the previous champion cannot answer any more; empty if it can.
    """
    release = state.open
    if release is not None:
        state = _advance_time(state, time_ms)
        return _end_open(state, release, reason, evidence, ReleaseEnd.COMMAND, Stage.ROLLED_BACK)
    if not state.former:
        return Change(state, ignored="there is no champion to go back to")
    if gone:
        return Change(state, ignored=f"a rollback is not possible: {gone}")
    return _roll_back_champion(_advance_time(state, time_ms), reason, evidence, ReleaseEnd.COMMAND)


def fail_route(
    state: LoopReleases, epoch: int, reason: str, evidence: tuple[str, ...], time_ms: int, gone: str = ""
) -> Change:
    """End the release behind the newest route, which could not be served, and publish the previous route again.

    A route that only restored an earlier one has no release to end. It stays the desired route, and the agent retries
    it. So does a route whose previous champion cannot answer any more, because of ``gone``.
    """
    if epoch != state.epoch:
        return Change(state, ignored=f"epoch {epoch} is not the newest, {state.epoch}")
    state = _advance_time(state, time_ms)
    if state.open is not None:
        return _end_open(state, state.open, reason, evidence, ReleaseEnd.ROUTE_FAILED)
    champion = state.champion
    if champion is None or champion.epoch != epoch:
        return Change(state, ignored="the failed route has no release to end")
    if not state.former and champion.from_stage is Stage.RETIRED:
        return Change(state, ignored="there is no champion before the one that failed")
    if state.former and gone:
        return Change(state, ignored=f"there is no champion to go back to: {gone}")
    return _roll_back_champion(state, reason, evidence, ReleaseEnd.ROUTE_FAILED)


def set_paused(state: LoopReleases, paused: bool, wall_ms: int) -> Change:
    """Pause or resume. While paused, better only asks for an approval; worse and rollbacks take effect as usual.

    ``wall_ms``: when the command was sent. Pauses and resumes are on different topics, so an earlier one may arrive
    after a later one. It is then ignored. Of a pause and a resume in the same millisecond, the pause wins, in training
    too.
    """
    if (wall_ms, paused) < (state.paused_wall_ms, state.paused):
        return Change(state, ignored=f"a later command has {'paused' if state.paused else 'resumed'} the loop")
    state = replace(state, paused_wall_ms=wall_ms)
    if state.paused == paused:
        return Change(state, ignored=f"the loop is already {'paused' if paused else 'running'}")
    return Change(replace(state, paused=paused))


def _champion(state: LoopReleases) -> ReleaseRecord:
    if state.champion is None:
        raise RuntimeError(f"{state.loop}: a release is open or rolled back, but the loop has no champion")
    return state.champion


def _advance_time(state: LoopReleases, time_ms: int) -> LoopReleases:
    return replace(state, time_ms=max(state.time_ms, time_ms))


def _obstacle(state: LoopReleases, verdict: Verdict) -> tuple[ReleaseEnd, str] | None:
    if verdict.outcome is not VerdictOutcome.BETTER:
        unclear = verdict.outcome is VerdictOutcome.NOT_KNOWN_YET
        cause = ReleaseEnd.UNCLEAR if unclear else ReleaseEnd.REFUSED
        return cause, verdict.reason or "the offline verdict is not a pass"
    if state.open is not None:
        return ReleaseEnd.BUSY, f"{state.open.release_id} is open; a loop has one open release"
    if state.paused:
        return ReleaseEnd.BUSY, "the loop is paused"
    return None


def _matches(verdict: Verdict, release: ReleaseRecord) -> bool:
    same_step = verdict.step is None or verdict.step == release.step
    same = verdict.release_id == release.release_id and verdict.stage == release.stage and same_step
    return same and verdict.time_ms > release.entered_ms


def _entered(
    state: LoopReleases, release: ReleaseRecord, stage: Stage, epoch: int, *, step: int = -1, share: float = 0.0
) -> ReleaseRecord:
    return replace(
        release,
        stage=stage,
        from_stage=release.stage,
        step=step,
        share=share,
        epoch=epoch,
        entered_ms=state.time_ms,
        approval_deadline_ms=None,
    )


def _enter_step(
    state: LoopReleases, release: ReleaseRecord, step: int, reason: str, policy: Policy, before: tuple[Fact, ...] = ()
) -> Change:
    champion, epoch, wanted = _champion(state), state.epoch + 1, policy.steps[step]
    entered = _entered(state, release, Stage(wanted.stage), epoch, step=step, share=wanted.share)
    facts = (*before, Entered(entered, champion.release_id, reason), Routed(epoch, champion, entered, entered.stage))
    return Change(replace(state, epoch=epoch, open=entered), facts, (entered,))


def _advance(
    state: LoopReleases, release: ReleaseRecord, reason: str, evidence: tuple[str, ...], policy: Policy
) -> Change:
    if release.step + 1 < len(policy.steps):
        return _enter_step(state, release, release.step + 1, reason, policy)
    return _promote(state, release, reason, evidence)


def _promote(
    state: LoopReleases, release: ReleaseRecord, reason: str, evidence: tuple[str, ...], before: tuple[Fact, ...] = ()
) -> Change:
    epoch, old = state.epoch + 1, state.champion
    new = _entered(state, release, Stage.CHAMPION, epoch, share=1.0)
    new = replace(new, replaced=old.release_id if old else "")
    retired = _entered(state, old, Stage.RETIRED, epoch) if old else None
    facts: tuple[Fact, ...] = (*before, Entered(new, new.release_id, reason))
    if retired is not None:
        facts += (Entered(retired, new.release_id, f"{new.release_id} is better"),)
    facts += (Routed(epoch, new, None, Stage.CHAMPION), Promoted(new, new.replaced, evidence))
    kept = (*state.former, retired) if retired else state.former
    after = replace(state, epoch=epoch, champion=new, open=None, former=kept)
    return Change(after, facts, (new, retired) if retired else (new,))


def _end_open(
    state: LoopReleases,
    release: ReleaseRecord,
    reason: str,
    evidence: tuple[str, ...],
    cause: ReleaseEnd,
    stage: Stage | None = None,
) -> Change:
    """Let the champion answer alone. Reject the release if it never answered, otherwise roll it back."""
    champion, epoch = _champion(state), state.epoch + 1
    stage = stage or (Stage.REJECTED if release.stage is Stage.SHADOW else Stage.ROLLED_BACK)
    ended = _entered(state, release, stage, epoch)
    last: Fact = Rejected(ended, release.stage, reason, evidence, cause)
    if stage is Stage.ROLLED_BACK:
        last = RolledBack(ended, release.stage, champion.release_id, reason, evidence, cause)
    facts = (Entered(ended, champion.release_id, reason), Routed(epoch, champion, None, Stage.CHAMPION), last)
    return Change(replace(state, epoch=epoch, open=None), facts, (ended,))


def _roll_back_champion(state: LoopReleases, reason: str, evidence: tuple[str, ...], cause: ReleaseEnd) -> Change:
    """Restore the previous champion, or no champion if there was none."""
    champion, epoch = _champion(state), state.epoch + 1
    ended = _entered(state, champion, Stage.ROLLED_BACK, epoch)
    if not state.former:
        last = RolledBack(ended, Stage.CHAMPION, "", reason, evidence, cause)
        facts: tuple[Fact, ...] = (Entered(ended, "", reason), last)
        return Change(replace(state, epoch=epoch, champion=None), facts, (ended,))
    restored = _entered(state, state.former[-1], Stage.CHAMPION, epoch, share=1.0)
    facts = (
        Entered(ended, restored.release_id, reason),
        Entered(restored, restored.release_id, f"restored in place of {ended.release_id}: {reason}"),
        Routed(epoch, restored, None, Stage.CHAMPION),
        RolledBack(ended, Stage.CHAMPION, restored.release_id, reason, evidence, cause),
    )
    after = replace(state, epoch=epoch, champion=restored, former=state.former[:-1])
    return Change(after, facts, (ended, restored))


def _request_approval(state: LoopReleases, release: ReleaseRecord, policy: Policy) -> Change:
    """Ask for an approval; the first deadline remains."""
    step = policy.step(release.step)
    last = release.step + 1 >= len(policy.steps)
    to_stage = Stage.CHAMPION if last else Stage(policy.steps[release.step + 1].stage)
    deadline = release.approval_deadline_ms
    if deadline is None:
        within_ms = to_ms(step.approval_within) if step.approval_within else step.max_blocks * policy.block_ms
        deadline = state.time_ms + within_ms
    waiting = replace(release, approval_deadline_ms=deadline)
    return Change(replace(state, open=waiting), (ApprovalRequested(waiting, to_stage, deadline),), (waiting,))

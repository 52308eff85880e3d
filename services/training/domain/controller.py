"""Decides when a loop retrains. Pure functions from a state and an event to the next state and its answers.

A loop has at most one open chain. A chain starts with a request. It ends when its release is promoted, rejected or
rolled back, or when its run fails. Every reason gets an answer at once: a request, or "coalesced". Coalesced reasons
are kept. At the next window end without an obstacle, one request lists all of them.

| obstacle | holds back |
|---|---|
| an open run or release | all reasons |
| a pause | all reasons |
| no window has closed yet | all reasons |
| no trainer | all except an import |
| the breaker: too many consecutive failures of the trainer | all except a command or an import |
| the cooldown after a chain | all except an import, and a first champion after a failure: the next window retries it |

The run of an import packs the model and trains nothing. The oldest import goes first and alone; other reasons wait.
A failure is a run without a model, or a release that was refused, worse or rejected by a person, or whose route failed.
An unclear gain is none, and neither is a release that nobody approved, or one with too few rows held out: the model
worked. Such chains do not repeat without a limit either, because the cooldown follows each. Imports are no failures,
because their answer does not depend on the trainer.

A drift alarm about a former champion is dropped, and so is a first-champion reason if there is a champion. Both get
the answer `superseded`, because training for them is no longer useful.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from driftloop.events.release_end import is_failure
from driftloop.loop.definition import TrainingDefinition, to_ms
from services.training.domain.state import (
    STRENGTH,
    Answer,
    Because,
    Chain,
    Coalesced,
    Reason,
    Requested,
    RetrainState,
    chain_of,
)

StateAndAnswers = tuple[RetrainState, tuple[Answer, ...]]

_REMEMBERED = 256
_CHAMPION = "champion"


@dataclass(frozen=True, slots=True)
class Window:
    """A closed window. Times are UTC milliseconds since the epoch."""

    event_id: str
    start_ms: int
    end_ms: int
    champion: str = ""


def close_window(state: RetrainState, policy: TrainingDefinition, window: Window) -> StateAndAnswers:
    """Move the clock to a window's end, and decide due and kept reasons. A window that is not newer has no effect."""
    if state.clock_ms is not None and window.end_ms <= state.clock_ms:
        return state, ()
    started_ms = window.start_ms if state.started_ms is None else state.started_ms
    state = replace(state, started_ms=started_ms, clock_ms=window.end_ms)
    periods = _completed_periods(state, policy)
    due = _due_reasons(state, policy, window, new_period=periods > state.periods)
    return _decide(replace(state, periods=periods), policy, due, window.end_ms)


def add_reason(state: RetrainState, policy: TrainingDefinition, reason: Reason) -> StateAndAnswers:
    """Decide an alarm, a command or an import. A reason that already has an answer has no effect."""
    if _answer_key(reason) in state.answered:
        return state, ()
    at_ms = reason.event_time_ms
    if reason.kind in ("command", "import") and state.clock_ms is not None:
        at_ms = min(at_ms, state.clock_ms)
    return _decide(state, policy, (reason,), at_ms)


def open_release(state: RetrainState, request_id: str) -> RetrainState:
    """Mark the release as open, because the open request's run ended with a bundle."""
    if state.chain is None or state.chain.request_id != request_id:
        return state
    return replace(state, chain=replace(state.chain, phase="release-open"))


def fail_run(state: RetrainState, request_id: str, at_ms: int) -> RetrainState:
    """End the chain, because the open request's run ended without a bundle."""
    if state.chain is None or state.chain.request_id != request_id:
        return state
    return _end_chain(state, at_ms, "failed")


def enter_stage(
    state: RetrainState, release_id: str, stage: str, champion_id: str = "", epoch: int = 0
) -> RetrainState:
    """Record the stage of the open release, and the champion from an epoch on (0: not stated)."""
    if epoch:
        state = _set_champion(state, champion_id, epoch)
    if not _is_open(state, release_id):
        return state
    chain: Chain = state.chain  # type: ignore[assignment]  # open
    return replace(state, chain=replace(chain, phase="release-open", stage=stage))


def promote_champion(state: RetrainState, release_id: str, at_ms: int, epoch: int = 0) -> RetrainState:
    """Set the champion from an epoch on, and end the chain if the open release is promoted."""
    state = _set_champion(state, release_id, epoch)
    return _end_chain(state, at_ms, "promoted") if _is_open(state, release_id) else state


def reject_release(state: RetrainState, release_id: str, cause: str, at_ms: int) -> RetrainState:
    """End the chain if the open release, or a candidate that never became one, is rejected."""
    return _end_release(state, release_id, cause, at_ms)


def roll_back_release(
    state: RetrainState, release_id: str, to_release_id: str, cause: str, at_ms: int, from_stage: str = ""
) -> RetrainState:
    """End the chain if the open release is rolled back. `enter_stage` sets the restored champion.

    A rollback that arrives before the promotion of the same release ends the chain as that promotion does.
    """
    if release_id == state.champion and not state.champion_epoch:
        state = _set_champion(state, to_release_id)
    if from_stage == _CHAMPION and _is_open(state, release_id):
        return _end_chain(state, at_ms, "promoted")
    return _end_release(state, release_id, cause, at_ms)


def set_paused(state: RetrainState, value: bool, wall_ms: int) -> RetrainState:
    """Pause or resume retraining. Kept reasons are decided at the end of the next window.

    ``wall_ms``: when the command was sent. One that was sent before the newest known one has no effect: pauses and
    resumes are on different topics, so they arrive in any order. Of a pause and a resume in the same millisecond, the
    pause wins, in the registry too.
    """
    if (wall_ms, value) < (state.paused_wall_ms, state.paused):
        return state
    return replace(state, paused=value, paused_wall_ms=wall_ms)


def _decide(state: RetrainState, policy: TrainingDefinition, new: tuple[Reason, ...], at_ms: int) -> StateAndAnswers:
    reasons = (*state.kept, *new)
    old = [reason for reason in reasons if _is_superseded(state, reason)]
    live = tuple(sorted((r for r in reasons if r not in old), key=lambda r: (r.event_time_ms, r.event_id)))
    answers: list[Answer] = [Coalesced(reason, "superseded", state.champion) for reason in old]
    state = _record_answers(replace(state, kept=live), new)
    if live:
        next_reasons = _next_reasons(live)
        if _find_obstacle(state, policy, next_reasons, at_ms) is None:
            state, requested = _make_request(state, policy, next_reasons, at_ms)
            answers.append(requested)
        answers += [_coalesce(state, policy, reason, next_reasons, at_ms) for reason in new if reason in state.kept]
    return state, tuple(answers)


def _next_reasons(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """Return the oldest import alone, or all reasons if there is no import."""
    return next(((reason,) for reason in reasons if reason.kind == "import"), reasons)


def _coalesce(
    state: RetrainState, policy: TrainingDefinition, reason: Reason, next_reasons: tuple[Reason, ...], at_ms: int
) -> Coalesced:
    """Return the answer to a kept reason. Outside the next request, its own obstacle counts."""
    obstacle = _find_obstacle(state, policy, next_reasons if reason in next_reasons else (reason,), at_ms)
    if obstacle is None:
        raise AssertionError(f"{reason} was kept without an obstacle")
    return Coalesced(reason, *obstacle)


def _find_obstacle(
    state: RetrainState, policy: TrainingDefinition, reasons: tuple[Reason, ...], at_ms: int
) -> tuple[Because, str] | None:
    kinds = {reason.kind for reason in reasons}
    if state.chain is not None:
        return state.chain.phase, state.chain.blocks_by
    if state.paused:
        return "paused", ""
    if state.clock_ms is None:
        return "no-window", ""
    if "import" in kinds:
        return None
    if policy.trainer is None:
        return "no-trainer", ""
    if state.consecutive_failures >= policy.breaker and "command" not in kinds:
        return "breaker", ""
    cooling = state.ended_ms is not None and at_ms < state.ended_ms + to_ms(policy.cooldown)
    if cooling and (state.undecided or "first-champion" not in kinds):
        return "cooldown", ""
    return None


def _make_request(
    state: RetrainState, policy: TrainingDefinition, reasons: tuple[Reason, ...], at_ms: int
) -> tuple[RetrainState, Requested]:
    chain = chain_of(state.loop, reasons)
    strongest = min((reason.kind for reason in reasons), key=STRENGTH.index)
    length = getattr(policy.window, "command" if strongest == "import" else strongest.replace("-", "_"))
    requested = Requested(
        chain,
        reasons,
        at_ms - to_ms(length),
        at_ms,
        policy.seed + state.requests,
        state.consecutive_failures,
        policy.breaker,
    )
    waiting = tuple(reason for reason in state.kept if reason not in reasons)
    return replace(state, chain=chain, kept=waiting, requests=state.requests + 1), requested


def _due_reasons(
    state: RetrainState, policy: TrainingDefinition, window: Window, *, new_period: bool
) -> tuple[Reason, ...]:
    has_champion = bool(state.champion or window.champion)
    if has_champion and new_period:
        detail = f"period {_completed_periods(state, policy)} of the schedule is over"
        return (Reason("schedule", window.event_id, window.end_ms, detail),)
    if not has_champion and _is_first_champion_due(state, policy, window):
        return (Reason("first-champion", window.event_id, window.end_ms, "the loop has no champion yet"),)
    return ()


def _is_first_champion_due(state: RetrainState, policy: TrainingDefinition, window: Window) -> bool:
    if state.chain is not None or any(reason.kind == "first-champion" for reason in state.kept):
        return False
    if state.ended_ms is not None and window.end_ms <= state.ended_ms:
        return False
    if policy.trainer is None:
        return True  # report at once that a model must be imported
    return window.end_ms - (state.started_ms or 0) >= to_ms(policy.first_champion_after)


def _completed_periods(state: RetrainState, policy: TrainingDefinition) -> int:
    if policy.schedule is None or state.started_ms is None or state.clock_ms is None:
        return 0
    return (state.clock_ms - state.started_ms) // to_ms(policy.schedule.every)


def _is_superseded(state: RetrainState, reason: Reason) -> bool:
    if reason.kind == "drift":
        return bool(reason.release_id) and reason.release_id in state.former
    return reason.kind == "first-champion" and bool(state.champion)


def _is_open(state: RetrainState, release_id: str) -> bool:
    return state.chain is not None and state.chain.release_id == release_id


def _set_champion(state: RetrainState, release_id: str, epoch: int = 0) -> RetrainState:
    """Set the champion, unless a newer epoch is known: events of different topics arrive in any order."""
    if epoch:
        if epoch <= state.champion_epoch:
            return state
        state = replace(state, champion_epoch=epoch)
    if release_id == state.champion:
        return state
    former = tuple(name for name in (*state.former, state.champion) if name and name != release_id)
    return replace(state, champion=release_id, former=former[-_REMEMBERED:])


def _end_release(state: RetrainState, release_id: str, cause: str, at_ms: int) -> RetrainState:
    if not _is_open(state, release_id):
        return state
    return _end_chain(state, at_ms, "failed" if is_failure(cause) else "undecided")


def _end_chain(state: RetrainState, at_ms: int, end: Literal["promoted", "failed", "undecided"]) -> RetrainState:
    imported = state.chain is not None and state.chain.imported
    failures = state.consecutive_failures + int(end == "failed" and not imported)
    return replace(
        state,
        chain=None,
        ended_ms=at_ms,
        undecided=end == "undecided",
        consecutive_failures=0 if end == "promoted" else failures,
    )


def _record_answers(state: RetrainState, reasons: tuple[Reason, ...]) -> RetrainState:
    keys = (*state.answered, *(_answer_key(reason) for reason in reasons))
    return replace(state, answered=keys[-_REMEMBERED:])


def _answer_key(reason: Reason) -> str:
    return f"{reason.kind}:{reason.event_id}"

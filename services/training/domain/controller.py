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
| the breaker: too many consecutive chains without a promotion | all except a command or an import |
| the cooldown after a chain | all except an import and a first champion, which is retried after the next window |

The run of an import packs the model and trains nothing. The oldest import goes first and alone; other reasons wait.
The breaker does not count imports, because their outcome does not depend on the trainer.

A drift alarm about a former champion is dropped, and so is a first-champion reason if there is a champion. Both get
the answer `superseded`, because training for them is no longer useful.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from driftloop.loop.definition import TrainingDefinition, to_ms
from services.training.domain.state import (
    STRENGTH,
    Because,
    Chain,
    Coalesced,
    LoopState,
    Outcome,
    Reason,
    Requested,
    chain_of,
)

Step = tuple[LoopState, tuple[Outcome, ...]]

_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Window:
    """A closed window. Times are UTC milliseconds since the epoch."""

    event_id: str
    start_ms: int
    end_ms: int
    champion: str = ""


def window_closed(state: LoopState, policy: TrainingDefinition, window: Window) -> Step:
    """Move the clock to a window's end, and decide due and kept reasons. A window that is not newer has no effect."""
    if state.clock_ms is not None and window.end_ms <= state.clock_ms:
        return state, ()
    started_ms = window.start_ms if state.started_ms is None else state.started_ms
    state = replace(state, started_ms=started_ms, clock_ms=window.end_ms)
    periods = _periods(state, policy)
    due = _due(state, policy, window, new_period=periods > state.periods)
    return _decide(replace(state, periods=periods), policy, due, window.end_ms)


def reason_came(state: LoopState, policy: TrainingDefinition, reason: Reason) -> Step:
    """Decide an alarm, a command or an import. A reason that already has an answer has no effect."""
    if _label(reason) in state.answered:
        return state, ()
    at_ms = reason.event_time_ms
    if reason.kind in ("command", "import") and state.clock_ms is not None:
        at_ms = min(at_ms, state.clock_ms)
    return _decide(state, policy, (reason,), at_ms)


def candidate_trained(state: LoopState, request_id: str) -> LoopState:
    """Mark the release as open, because the open request's run ended with a bundle."""
    if state.chain is None or state.chain.request_id != request_id:
        return state
    return replace(state, chain=replace(state.chain, phase="release-open"))


def run_failed(state: LoopState, request_id: str, at_ms: int) -> LoopState:
    """End the chain, because the open request's run ended without a bundle."""
    if state.chain is None or state.chain.request_id != request_id:
        return state
    return _ended(state, at_ms, consecutive_failures=True)


def stage_entered(state: LoopState, release_id: str, stage: str) -> LoopState:
    """Record the stage of the open release."""
    if not _is_open(state, release_id):
        return state
    chain: Chain = state.chain  # type: ignore[assignment]  # open
    return replace(state, chain=replace(chain, phase="release-open", stage=stage))


def champion_promoted(state: LoopState, release_id: str, at_ms: int) -> LoopState:
    """Set the champion, and end the chain if the open release is promoted."""
    state = _set_champion(state, release_id)
    return _ended(state, at_ms, consecutive_failures=False) if _is_open(state, release_id) else state


def release_rejected(state: LoopState, release_id: str, at_ms: int) -> LoopState:
    """End the chain if the open release, or a candidate that never became one, is rejected."""
    return _ended(state, at_ms, consecutive_failures=True) if _is_open(state, release_id) else state


def release_rolled_back(state: LoopState, release_id: str, to_release_id: str, at_ms: int) -> LoopState:
    """Restore the previous champion if the champion is rolled back. End the chain if the open release is."""
    if release_id == state.champion:
        state = _set_champion(state, to_release_id)
    return _ended(state, at_ms, consecutive_failures=True) if _is_open(state, release_id) else state


def paused(state: LoopState, value: bool) -> LoopState:
    """Pause or resume retraining. Kept reasons are decided at the end of the next window."""
    return replace(state, paused=value)


def _decide(state: LoopState, policy: TrainingDefinition, new: tuple[Reason, ...], at_ms: int) -> Step:
    old = [reason for reason in (*state.kept, *new) if _superseded(state, reason)]
    live = tuple(sorted((r for r in (*state.kept, *new) if r not in old), key=lambda r: (r.event_time_ms, r.event_id)))
    dropped = tuple(Coalesced(reason, "superseded", state.champion) for reason in old)
    state = _answered(replace(state, kept=live), new)
    if not live:
        return state, dropped
    turn = _whose_turn(live)
    said: tuple[Outcome, ...] = dropped
    if _obstacle(state, policy, turn, at_ms) is None:
        state, requested = _request(state, policy, turn, at_ms)
        said = (*dropped, requested)
    waiting = tuple(each for each in new if each in state.kept)
    return state, (*said, *(_coalesced(state, policy, each, turn, at_ms) for each in waiting))


def _whose_turn(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """Return the oldest import alone, or all reasons if there is no import."""
    imports = [each for each in reasons if each.kind == "import"]
    return (imports[0],) if imports else reasons


def _coalesced(
    state: LoopState, policy: TrainingDefinition, reason: Reason, turn: tuple[Reason, ...], at_ms: int
) -> Coalesced:
    """Return the answer to a kept reason. If it is not its turn, its own obstacle counts."""
    obstacle = _obstacle(state, policy, turn if reason in turn else (reason,), at_ms)
    if obstacle is None:
        raise AssertionError(f"nothing stands in the way of {reason}, and it was kept")
    return Coalesced(reason, *obstacle)


def _obstacle(
    state: LoopState, policy: TrainingDefinition, reasons: tuple[Reason, ...], at_ms: int
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
    if cooling and "first-champion" not in kinds:
        return "cooldown", ""
    return None


def _request(
    state: LoopState, policy: TrainingDefinition, reasons: tuple[Reason, ...], at_ms: int
) -> tuple[LoopState, Requested]:
    chain = chain_of(state.loop, reasons)
    strongest = min((reason.kind for reason in reasons), key=STRENGTH.index)
    length = getattr(policy.window, "command" if strongest == "import" else strongest.replace("-", "_"))
    requested = Requested(chain, reasons, at_ms - to_ms(length), at_ms, policy.seed + state.requests)
    waiting = tuple(each for each in state.kept if each not in reasons)
    return replace(state, chain=chain, kept=waiting, requests=state.requests + 1), requested


def _due(state: LoopState, policy: TrainingDefinition, window: Window, *, new_period: bool) -> tuple[Reason, ...]:
    has_champion = bool(state.champion or window.champion)
    if has_champion and new_period:
        detail = f"period {_periods(state, policy)} of the schedule has gone by"
        return (Reason("schedule", window.event_id, window.end_ms, detail),)
    if not has_champion and _first_champion_due(state, policy, window):
        return (Reason("first-champion", window.event_id, window.end_ms, "the loop has no champion yet"),)
    return ()


def _first_champion_due(state: LoopState, policy: TrainingDefinition, window: Window) -> bool:
    if state.chain is not None or any(reason.kind == "first-champion" for reason in state.kept):
        return False
    if state.ended_ms is not None and window.end_ms <= state.ended_ms:
        return False
    if policy.trainer is None:
        return True  # no first training to wait for: report at once that a model must be imported
    return window.end_ms - (state.started_ms or 0) >= to_ms(policy.first_champion_after)


def _periods(state: LoopState, policy: TrainingDefinition) -> int:
    if policy.schedule is None or state.started_ms is None or state.clock_ms is None:
        return 0
    return (state.clock_ms - state.started_ms) // to_ms(policy.schedule.every)


def _superseded(state: LoopState, reason: Reason) -> bool:
    if reason.kind == "drift":
        return bool(reason.release_id) and reason.release_id in state.former
    return reason.kind == "first-champion" and bool(state.champion)


def _is_open(state: LoopState, release_id: str) -> bool:
    return state.chain is not None and state.chain.release_id == release_id


def _set_champion(state: LoopState, release_id: str) -> LoopState:
    if release_id == state.champion:
        return state
    former = tuple(each for each in (*state.former, state.champion) if each and each != release_id)
    return replace(state, champion=release_id, former=former[-_REMEMBERED:])


def _ended(state: LoopState, at_ms: int, *, consecutive_failures: bool) -> LoopState:
    told_of_trainer = state.chain is None or not state.chain.imported
    count = state.consecutive_failures + int(told_of_trainer) if consecutive_failures else 0
    return replace(state, chain=None, ended_ms=at_ms, consecutive_failures=count)


def _answered(state: LoopState, reasons: tuple[Reason, ...]) -> LoopState:
    every = (*state.answered, *(_label(reason) for reason in reasons))
    return replace(state, answered=every[-_REMEMBERED:])


def _label(reason: Reason) -> str:
    return f"{reason.kind}:{reason.event_id}"

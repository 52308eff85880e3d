"""What `driftloop status` shows of retraining equals the retrain controller's own state, after any story of a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from driftloop.contracts import control_pb2 as control
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import training_pb2 as training
from driftloop.events import ids
from driftloop.events.envelope import Draft, Envelope, from_draft
from driftloop.events.release_end import ReleaseEnd
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.loops import LoopState
from services.training.domain import controller
from services.training.domain.state import Chain, Reason, RetrainState
from services.training.messages import drafts_of
from tests.unit.training.policies import DAY_MS, policy

CAUSES = ["", *ReleaseEnd]
steps = st.lists(
    st.one_of(
        st.sampled_from([("day", ""), ("drift", ""), ("command", ""), ("import", ""), ("fail", ""), ("promote", "")]),
        st.tuples(st.sampled_from(["reject", "back"]), st.sampled_from(CAUSES)),
    ),
    max_size=50,
)


class Story:
    """Drives the controller, and publishes its events and those of the worker and the registry."""

    def __init__(self) -> None:
        self.policy = policy(cooldown="1d", schedule={"every": "4d"})
        self.state = RetrainState("shop")
        self.events: list[Envelope[Any]] = []
        self.day = 0

    def publish(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            wall_ms = len(self.events)
            self.events.append(from_draft(draft, source="test", wall_time_ms=wall_ms, cause=None, traceparent=None))

    def add(self, message: Message) -> None:
        name = ids.event_id(message.DESCRIPTOR.full_name, str(len(self.events)))
        self.publish([Draft(name, "shop", self.day * DAY_MS, message)])

    def apply(self, step: controller.StateAndAnswers) -> None:
        self.state, answers = step
        self.publish(drafts_of("shop", answers, self.day * DAY_MS))

    def close_day(self) -> None:
        self.day += 1
        window = controller.Window(f"w{self.day}", (self.day - 1) * DAY_MS, self.day * DAY_MS, self.state.champion)
        self.apply(controller.close_window(self.state, self.policy, window))

    def give(self, kind: Any) -> None:
        name = f"{kind}-{len(self.events)}-{self.day}"
        release = self.state.champion if kind == "drift" else ""
        model = control.ImportedModel(source="m.onnx").SerializeToString().hex() if kind == "import" else ""
        reason = Reason(kind, name, self.day * DAY_MS, "why", f"chain-{name}", release, model=model)
        self.apply(controller.add_reason(self.state, self.policy, reason))

    def end(self, step: str, cause: str) -> None:
        chain, at_ms = self.state.chain, self.day * DAY_MS
        if chain is None:
            return
        ends: dict[str, Callable[[Chain], RetrainState]] = {
            "fail": lambda chain: controller.fail_run(self.state, chain.request_id, at_ms),
            "promote": lambda chain: controller.promote_champion(self.state, chain.release_id, at_ms),
            "reject": lambda chain: controller.reject_release(self.state, chain.release_id, cause, at_ms),
            "back": lambda chain: controller.roll_back_release(self.state, chain.release_id, "", cause, at_ms),
        }
        if step != "fail":
            ref = registry.ReleaseRef(release_id=chain.release_id)
            self.add(registry.ReleaseCreated(release=ref, request_id=chain.request_id, run_id=chain.run_id))
        messages = {
            "fail": training.RunFailed(request_id=chain.request_id, run_id=chain.run_id, reason="error"),
            "promote": registry.ChampionPromoted(
                release_id=chain.release_id, previous_release_id=self.state.champion, epoch=len(self.events)
            ),
            "reject": registry.ReleaseRejected(release_id=chain.release_id, stage="shadow", reason="r", cause=cause),
            "back": registry.ReleaseRolledBack(
                release_id=chain.release_id, from_stage="canary", reason="r", cause=cause
            ),
        }
        self.state = ends[step](chain)
        self.add(messages[step])

    def shown(self) -> LoopState:
        return LoopHistory("shop", self.events).state()


@settings(max_examples=150, deadline=None)
@given(steps)
def test_kept_reasons_failures_and_the_breaker_are_shown_as_the_controller_has_them(
    script: list[tuple[str, str]],
) -> None:
    story = Story()
    for step, cause in script:
        if step == "day":
            story.close_day()
        elif step in ("drift", "command", "import"):
            story.give(step)
        else:
            story.end(step, cause)
        shown = story.shown()
        assert [(kept.kind, kept.event_id) for kept in shown.kept] == [
            (kept.kind, kept.event_id)
            for kept in sorted(story.state.kept, key=lambda kept: (kept.event_time_ms, kept.event_id))
        ]
        assert shown.failures == story.state.consecutive_failures
        assert shown.breaker_open == (story.state.consecutive_failures >= story.policy.breaker)

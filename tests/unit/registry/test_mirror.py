from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from driftloop.process.errors import Retriable
from services.registry.mirror import Mirror, MirrorDelays
from services.registry.ports import MirroredRelease, MirrorTask
from tests.helpers.clock import FakeClock


@dataclass
class FakeQueue:
    """Tasks and their due times."""

    tasks: dict[str, MirrorTask]
    due: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    champion: str = "r-1"
    problems: list[str] = field(default_factory=list)

    def backlog(self) -> int:
        return len(self.tasks)

    def claim(self, now_ms: int, until_ms: int) -> MirrorTask | None:
        ready = [task for task in self.tasks.values() if self.due.get(task.release_id, 0) <= now_ms]
        return ready[0] if ready else None

    def release(self, release_id: str) -> MirroredRelease:
        return MirroredRelease(release_id, "run", "digest", "/b", "champion", 1)

    def aliases(self, loop: str) -> Mapping[str, str]:
        return {"champion": self.champion, "challenger": "r-9"}

    def version(self, release_id: str) -> str:
        return self.versions.get(release_id, "")

    def save_version(self, release_id: str, version: str) -> None:
        self.versions[release_id] = version

    def done(self, task: MirrorTask) -> None:
        del self.tasks[task.release_id]

    def failed(self, task: MirrorTask, retry_at_ms: int, problem: str) -> None:
        self.tasks[task.release_id] = replace(task, attempts=task.attempts + 1)
        self.due[task.release_id] = retry_at_ms
        self.problems.append(problem)


@dataclass
class FakeModels:
    """A registry that can stop answering."""

    answers: bool = True
    aliases_answer: bool = True
    created: list[str] = field(default_factory=list)
    aliases: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def ensure_version(self, loop: str, release: MirroredRelease, known_version: str) -> str:
        if not self.answers:
            raise Retriable("MLflow does not answer")
        if not known_version:
            self.created.append(release.release_id)
        return known_version or str(len(self.created))

    def set_aliases(self, loop: str, versions: Mapping[str, str]) -> None:
        if not self.aliases_answer:
            raise Retriable("MLflow does not answer")
        self.aliases[loop] = dict(versions)


def mirror_of(queue: FakeQueue, models: FakeModels) -> tuple[Mirror, FakeClock, threading.Event]:
    clock, stop = FakeClock(), threading.Event()
    return Mirror(queue, models, clock, stop, MirrorDelays(poll_s=0.001)), clock, stop


def queue_of(*names: str) -> FakeQueue:
    return FakeQueue({name: MirrorTask("orders", name, 1, 0) for name in names})


def test_queued_releases_are_copied_and_aliases_need_a_version() -> None:
    queue, models = queue_of("r-1", "r-2"), FakeModels()
    assert mirror_of(queue, models)[0].drain() == 2
    assert models.created == ["r-1", "r-2"]
    assert models.aliases == {"orders": {"champion": "1"}}
    assert queue.backlog() == 0


def test_a_failing_copy_is_retried_with_longer_pauses() -> None:
    queue, models = queue_of("r-1"), FakeModels(answers=False)
    mirror, clock, _ = mirror_of(queue, models)
    pauses = []
    for _ in range(8):
        assert mirror.drain() == 0
        pauses.append(queue.due["r-1"] - clock.wall_ms)
        clock.wall_ms = queue.due["r-1"]
    assert 500 <= pauses[0] <= 1000
    assert 30_000 <= pauses[-1] <= 60_000
    models.answers = True
    assert mirror.drain() == 1


def test_a_failed_alias_is_retried_without_a_second_version() -> None:
    queue, models = queue_of("r-1"), FakeModels(aliases_answer=False)
    mirror, clock, _ = mirror_of(queue, models)
    assert mirror.drain() == 0
    models.aliases_answer = True
    clock.wall_ms = queue.due["r-1"]
    assert mirror.drain() == 1
    assert models.created == ["r-1"]
    assert models.aliases == {"orders": {"champion": "1"}}


def test_the_mirror_stops_at_the_stop_event() -> None:
    mirror, _, stop = mirror_of(queue_of(), FakeModels())
    thread = threading.Thread(target=mirror.run)
    thread.start()
    stop.set()
    thread.join(5)
    assert not thread.is_alive()

"""Topics with another number of partitions than their loop says."""

from __future__ import annotations

from pathlib import Path

from driftloop.bus.topic_watch import TopicState
from driftloop.ops.system.partitions import differences
from tests.unit.ingestion.fixtures import PAID, PLACED, write_loop


def test_it_names_the_file_the_topic_and_both_numbers(tmp_path: Path) -> None:
    loop = write_loop(tmp_path)
    [sentence] = differences([loop], {PLACED: TopicState("a", 3), PAID: TopicState("b", 2)})
    assert sentence.startswith(f"{loop.folder / 'loop.yaml'}: events.{PLACED}.partitions is 2, and the topic has 3;")


def test_a_topic_that_is_not_there_yet_differs_in_nothing(tmp_path: Path) -> None:
    assert differences([write_loop(tmp_path)], {}) == ()

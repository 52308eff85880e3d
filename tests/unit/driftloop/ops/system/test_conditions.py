from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from driftloop.ops.system.conditions import (
    Condition,
    damaged_logs,
    ingestion_conditions,
    monitoring_conditions,
    read_conditions,
)
from driftloop.ops.system.parts import parts
from driftloop.process.settings import ROOT, Settings
from services.ingestion import metrics
from services.monitoring.metrics import WRITER_BEHIND
from services.serving.adapters.spool_reader import CORRUPT
from tests.helpers.ports import free_port_base


def samples(text: str) -> list[Sample]:
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def test_events_far_ahead_are_named_until_the_watermark_follows() -> None:
    far = metrics.FAR_AHEAD.name
    text = f'{far}{{loop="orders",event_type="orders.placed"}} 3.0\n{far}{{loop="orders",event_type="other"}} 0.0\n'
    [condition] = ingestion_conditions(samples(text))
    assert (condition.kind, condition.loop, condition.subject) == ("events-far-ahead", "orders", "orders.placed")
    assert "the watermark of orders.placed does not follow its newest events (3)" in condition.text


def test_a_topic_that_was_created_again_is_named() -> None:
    [condition] = ingestion_conditions(samples(f'{metrics.TOPICS_CREATED_AGAIN.name}_total{{topic="a.b"}} 1.0\n'))
    assert (condition.kind, condition.loop, condition.subject) == ("topic-created-again", "", "a.b")


def test_a_triton_for_which_windows_wait_is_named() -> None:
    behind = WRITER_BEHIND.name
    text = f'{behind}{{loop="orders",writer="two"}} 75.0\n{behind}{{loop="orders",writer=""}} 3.0\n'
    [condition] = monitoring_conditions(samples(text))
    assert (condition.kind, condition.loop, condition.subject) == ("writer-behind", "orders", "two")
    assert "orders: windows wait for Triton two, whose agent sent nothing for 75 s" in condition.text


def test_a_damaged_prediction_log_is_named_until_its_files_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "orders"
    folder.mkdir()
    (folder / "00000007.spool").touch()
    assert list(damaged_logs(tmp_path)) == []
    (folder / f"00000005{CORRUPT}").touch()
    (folder / f"00000006{CORRUPT}").touch()
    [condition] = damaged_logs(tmp_path)
    assert (condition.kind, condition.loop, condition.subject) == ("prediction-log-damaged", "orders", str(folder))
    assert "damaged 2 files" in condition.text


def test_a_process_that_does_not_answer_has_no_conditions(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port_base=free_port_base())
    assert read_conditions(settings, {part.name: part for part in parts(settings)}) == []
    assert read_conditions(settings, {}) == []


def test_each_condition_names_a_section_of_the_manual(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / f"1{CORRUPT}").touch()
    text = f'{metrics.FAR_AHEAD.name}{{loop="a",event_type="b"}} 1.0\n'
    text += f'{metrics.TOPICS_CREATED_AGAIN.name}_total{{topic="a.b"}} 1.0\n'
    found: list[Condition] = [*ingestion_conditions(samples(text)), *damaged_logs(tmp_path)]
    manual = (ROOT / "docs" / "operations.md").read_text()
    anchors = {line.lstrip("# ").lower() for line in manual.splitlines() if line.startswith("#### ")}
    assert {condition.text.rpartition("#")[2] for condition in found} <= anchors
    assert len(found) == 3

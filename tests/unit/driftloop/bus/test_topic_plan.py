from __future__ import annotations

from dataclasses import replace

import pytest

from driftloop.bus.topic_plan import RETENTION, TIMESTAMP_TYPE, ExistingTopic, TopicPlan, compare_topics
from driftloop.loop.load import load_loop
from driftloop.loop.topics import DETECTOR_STATES, plan_topics
from driftloop.process.settings import ROOT

PLAN = TopicPlan("orders.placed", 2, 604_800_000, source="loops/orders/loop.yaml: events.orders.placed")


def as_planned(plan: TopicPlan, replication: int = 1, min_in_sync: int = 1) -> ExistingTopic:
    return ExistingTopic(plan.partitions, replication, plan.config(min_in_sync) | {"segment.bytes": "1"})


def test_a_topic_as_planned_needs_nothing_and_others_are_ignored() -> None:
    other = ExistingTopic(7, 3, {"cleanup.policy": "compact"})
    assert compare_topics([PLAN], {"orders.placed": as_planned(PLAN), "of others": other}).is_empty


def test_a_missing_topic_is_to_be_created() -> None:
    assert compare_topics([PLAN], {}).missing == (PLAN,)


def test_partitions_that_differ_name_the_declaration_and_both_numbers() -> None:
    [sentence] = compare_topics([PLAN], {PLAN.name: replace(as_planned(PLAN), partitions=3)}).conflicts
    assert sentence.startswith("loops/orders/loop.yaml: events.orders.placed: partitions is 2, and it has 3;")
    assert sentence.endswith("write 3")


def test_every_conflict_names_its_topic() -> None:
    plans = plan_topics([load_loop(ROOT / "tests" / "loops" / "orders").definition])
    existing = {plan.name: replace(as_planned(plan), partitions=9) for plan in plans}
    for plan, sentence in zip(plans, compare_topics(plans, existing).conflicts, strict=True):
        assert plan.name in sentence


def test_too_few_copies_name_the_setting() -> None:
    existing = {PLAN.name: as_planned(PLAN, replication=1, min_in_sync=2)}
    [sentence] = compare_topics([PLAN], existing, replication=3, min_in_sync=2).conflicts
    assert "has 1 copies, and DRIFTLOOP_KAFKA_REPLICATION is 3" in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cleanup.policy", "compact"),
        ("max.message.bytes", "1000"),
        (TIMESTAMP_TYPE, "LogAppendTime"),
        ("min.insync.replicas", "1"),
        ("retention.bytes", "5"),
        ("retention.ms", "60000"),
    ],
)
def test_a_setting_that_differs_is_a_conflict_with_both_values(name: str, value: str) -> None:
    existing = as_planned(PLAN, 3, 2)
    changes = compare_topics(
        [PLAN],
        {PLAN.name: replace(existing, config={**existing.config, name: value})},
        replication=3,
        min_in_sync=2,
    )
    assert not changes.altered
    [sentence] = changes.conflicts
    assert f"{name}={value}, and {PLAN.config(2)[name]} is declared" in sentence
    assert f"--entity-name orders.placed --add-config {name}={PLAN.config(2)[name]}" in sentence


def test_a_table_that_faust_created_is_altered_and_no_conflict() -> None:
    [plan] = [plan for plan in plan_topics([]) if plan.name == DETECTOR_STATES]
    defaults = {"max.message.bytes": "1048588", TIMESTAMP_TYPE: "CreateTime", "min.insync.replicas": "1"}
    config = {**defaults, "cleanup.policy": "compact", "retention.bytes": "-1", "retention.ms": "604800000"}
    changes = compare_topics([plan], {DETECTOR_STATES: ExistingTopic(1, 1, config)})
    assert changes.altered == {DETECTOR_STATES: {"max.message.bytes": "8000000", "retention.ms": "-1"}}
    assert changes.conflicts == ()


def test_topics_of_an_earlier_version_need_only_the_timestamps_of_the_broker() -> None:
    plans = plan_topics([load_loop(ROOT / "tests" / "loops" / "orders").definition])
    raw = [plan for plan in plans if plan.timestamps == "LogAppendTime"]
    existing = {plan.name: as_planned(replace(plan, timestamps="CreateTime")) for plan in plans}
    changes = compare_topics(plans, existing)
    assert changes.altered == {plan.name: {TIMESTAMP_TYPE: "LogAppendTime"} for plan in raw}
    assert sorted(changes.altered) == ["orders.inspected", "orders.placed", "shops.shelved"]
    assert (changes.missing, changes.conflicts) == ((), ())


def test_what_is_safe_to_alter_is_no_conflict() -> None:
    plan = replace(PLAN, retention_bytes=10, alterable=RETENTION)
    changes = compare_topics([plan], {plan.name: as_planned(replace(plan, retention_ms=1, retention_bytes=-1))})
    assert changes.altered == {plan.name: {"retention.ms": "604800000", "retention.bytes": "10"}}
    assert changes.conflicts == ()

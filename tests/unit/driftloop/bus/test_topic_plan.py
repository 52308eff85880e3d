from __future__ import annotations

from dataclasses import replace

import pytest

from driftloop.bus.topic_plan import RETENTION, TIMESTAMP_TYPE, ExistingTopic, TopicPlan, compare_topics

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


def test_what_is_safe_to_alter_is_no_conflict() -> None:
    plan = replace(PLAN, retention_bytes=10, alterable=RETENTION)
    changes = compare_topics([plan], {plan.name: as_planned(replace(plan, retention_ms=1, retention_bytes=-1))})
    assert changes.altered == {plan.name: {"retention.ms": "604800000", "retention.bytes": "10"}}
    assert changes.conflicts == ()

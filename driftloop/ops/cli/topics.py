"""``driftloop topics``: the topics that the brokers must have, and the rights of each service."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

import click

from driftloop.bus.admin import apply_topics, compare_with_brokers, require_broker
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.topic_plan import TopicChanges, TopicPlan
from driftloop.loop import load_loops
from driftloop.loop.topics import plan_topics
from driftloop.ops.cli.control import JSON
from driftloop.ops.cli.output import echo, echo_json
from driftloop.ops.cli.types import examples
from driftloop.ops.topics.acls import Acl, list_acls
from driftloop.process.settings import Settings


@click.group(epilog=examples("driftloop topics plan", "driftloop topics apply", "driftloop topics acls"))
def topics() -> None:
    """Compare the declared topics with the brokers, create them, and list who needs which rights."""


@topics.command(epilog=examples("driftloop topics plan", "driftloop topics plan --json | jq .conflicts"))
@JSON
def plan(as_json: bool) -> None:
    """Show what `driftloop topics apply` would change.

    Exit code 1: a topic has a setting that is not the declared one, and that cannot be changed safely.
    """
    kafka, plans = _wanted()
    require_broker(kafka)
    _report(compare_with_brokers(kafka, plans), kafka, as_json, ("create", "alter"))


@topics.command(epilog=examples("driftloop topics apply", "driftloop topics apply --json"))
@JSON
def apply(as_json: bool) -> None:
    """Create the missing topics, as `driftloop up` does. Settings that conflict are named and left as they are.

    Exit code 1: a topic has a setting that is not the declared one, and that cannot be changed safely.
    """
    kafka, plans = _wanted()
    require_broker(kafka)
    _report(apply_topics(kafka, plans), kafka, as_json, ("created", "altered"))


@topics.command(
    epilog=examples(
        "driftloop topics acls | while read -r acl; do kafka-acls.sh --bootstrap-server broker:9092 $acl; done",
        "driftloop topics acls --principal 'User:CN={service}' --json",
    )
)
@click.option(
    "--principal", default="User:{service}", show_default=True, help="Kafka's name of a service; {service} is replaced."
)
@JSON
def acls(principal: str, as_json: bool) -> None:
    """List the access rights that each service needs, as arguments of kafka-acls.

    The service `driftloop` stands for the commands. Producers of raw topics need the operation Write on them.
    """
    if "{service}" not in principal:
        raise click.BadParameter("it needs {service} where the service's name belongs", param_hint="--principal")
    settings = Settings()
    loops = load_loops(settings.loops_dir, settings.loops)
    rights = list_acls((loop.definition for loop in loops), settings.kafka_prefix)
    named = [(principal.replace("{service}", acl.service), acl) for acl in rights]
    if as_json:
        echo_json([asdict(acl) | {"principal": name} for name, acl in named], indent=2)
        return
    for name, acl in named:
        echo(_arguments(name, acl))


def _arguments(principal: str, acl: Acl) -> str:
    operations = [word for operation in acl.operations for word in ("--operation", operation)]
    resource = [f"--{acl.resource}", acl.name, "--resource-pattern-type", acl.pattern]
    return shlex.join(["--add", "--allow-principal", principal, *operations, *resource])


def _wanted() -> tuple[KafkaSettings, list[TopicPlan]]:
    settings = Settings()
    loops = load_loops(settings.loops_dir, settings.loops)
    return KafkaSettings.of(settings), plan_topics(loop.definition for loop in loops)


def _report(changes: TopicChanges, kafka: KafkaSettings, as_json: bool, words: tuple[str, str]) -> None:
    """Print changes; ``words`` say whether they were made."""
    create, alter = words
    if as_json:
        echo_json({create: [_as_json(plan, kafka) for plan in changes.missing], alter: changes.altered}
                  | {"conflicts": changes.conflicts}, indent=2)  # fmt: skip
    else:
        for plan in changes.missing:
            echo(f"{create} {plan.name}: {plan.partitions} partitions, {kafka.replication} copies")
        for name, config in changes.altered.items():
            echo(f"{alter} {name}: {', '.join(f'{key}={value}' for key, value in config.items())}")
        for sentence in changes.conflicts:
            echo(f"conflict: {sentence}", err=True)
        if changes.is_empty:
            echo("the brokers have all topics as declared")
    raise click.exceptions.Exit(int(bool(changes.conflicts)))


def _as_json(plan: TopicPlan, kafka: KafkaSettings) -> dict[str, Any]:
    return {
        "name": plan.name,
        "partitions": plan.partitions,
        "replication": kafka.replication,
        "config": plan.config(kafka.min_in_sync),
    }

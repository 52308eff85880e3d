"""``driftloop dlq`` on a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from driftloop.bus.admin import create_topics
from driftloop.bus.dead_letters import dead_letter
from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Record
from driftloop.events.event_log import read_topics
from driftloop.loop import load_loop
from driftloop.loop.topics import plan_topics
from driftloop.ops import cli
from driftloop.process.settings import ROOT
from tests.helpers.kafka import Kafka

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.surface]

FOLDER = ROOT / "tests" / "loops"
ORDERS = load_loop(FOLDER / "orders")
PLACED, SHELVED = "orders.placed", "shops.shelved"

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One of our own: a list of all dead letters is to hold ours alone."""
    with Kafka(tmp_path_factory.mktemp("dlq")).running() as server:
        yield server


@pytest.fixture
def run(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DRIFTLOOP_LOOPS_DIR", str(FOLDER))
    monkeypatch.setenv("DRIFTLOOP_KAFKA_BOOTSTRAP", kafka.bootstrap)
    create_topics(kafka.settings, plan_topics([ORDERS.definition]))
    return lambda *arguments: CliRunner().invoke(cli.cli, ["dlq", *arguments])


def refuse(kafka: KafkaSettings, topic: str, *values: bytes) -> None:
    """Write dead letters as ingestion does."""
    producer = KafkaBatchProducer(kafka)
    letters = [
        dead_letter(Record(topic, 1, offset, b"k", value), consumer="ingestion", reason="range", detail="lines: [0]")
        for offset, value in enumerate(values)
    ]
    producer.send(letters)
    producer.close()


def test_letters_are_listed_shown_and_replayed_once(run: Run, kafka: Kafka) -> None:
    placed = ORDERS.messages[PLACED](uid="u-1", order_ref="o-1", shop="s", lines=0).SerializeToString()
    refuse(kafka.settings, PLACED, placed, b'{"uid": "u-2"}')
    listed = json.loads(run("list", PLACED, "--json").output)
    assert [(each["offset"], each["reason"], each["replay"]) for each in listed] == [
        (0, "range", None),
        (1, "range", None),
    ]
    assert "lines: [0]" in run("list").output
    shown = json.loads(run("show", PLACED, "0", "--json").output)
    assert shown["content"] == {"uid": "u-1", "order_ref": "o-1", "shop": "s"}
    assert "o-1" in run("show", PLACED, "0").output
    assert "sent 1 again to orders.placed" in run("replay", PLACED, "0", "--why", "fixed").output
    assert [(each.partition, each.value) for each in list(read_topics(kafka.settings, [PLACED]))] == [(1, placed)]
    rest = json.loads(run("replay", PLACED, "--all", "--why", "fixed", "--who", "me", "--json").output)
    assert rest == {"sent": [f"{PLACED}.dlq/0/1"], "before": []}
    again = json.loads(run("replay", PLACED, "0", "1", "--why", "twice", "--json").output)
    assert again == {"sent": [], "before": [f"{PLACED}.dlq/0/0", f"{PLACED}.dlq/0/1"]}
    assert len(list(read_topics(kafka.settings, [PLACED]))) == 2
    assert [each["replay"]["state"] for each in json.loads(run("list", PLACED, "--json").output)] == ["done", "done"]


def test_nothing_to_list_is_said(run: Run) -> None:
    assert run("list", SHELVED).output == "no dead letters\n"
    assert json.loads(run("list", SHELVED, "--reason", "range", "--json").output) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["list", "nothing"], "'nothing' is not a topic with dead letters; there are "),
        (["show", SHELVED, "7"], "shops.shelved has no dead letter 7; `driftloop dlq list shops.shelved` lists them."),
        (["show", SHELVED, "x"], "'x' is not a valid integer"),
        (["replay", SHELVED, "--all"], "Missing option '--why'"),
        (["replay", SHELVED, "--why", "-"], "give offsets or --all, not both."),
        (["replay", SHELVED, "0", "--all", "--why", "-"], "give offsets or --all, not both."),
    ],
)
def test_a_wrong_argument_says_what_to_do(run: Run, arguments: list[str], told: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert told in done.output


def test_without_a_broker_it_says_how_to_have_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLOOP_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    done = run("list")
    assert "`driftloop up` starts one" in str(done.exception)

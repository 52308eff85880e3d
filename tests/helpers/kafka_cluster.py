"""Three Kafka nodes with TLS and SCRAM, for tests."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

import pytest
from confluent_kafka import ElectionType, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from driftloop.bus.admin import create_topics
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.topic_plan import TopicPlan
from driftloop.process.settings import ROOT
from tests.helpers.eventually import assert_eventually
from tests.helpers.ports import free_ports
from tests.helpers.server import Server

_WEEK_MS = 7 * 86_400_000
NODES = (1, 2, 3)


class KafkaCluster:
    """The nodes and their users. ``folder`` has the data and the secrets."""

    def __init__(self, folder: Path, users: Sequence[str] = ()) -> None:
        self._folder, self._ports = folder, free_ports(9)
        self._numbers = itertools.count()
        subprocess.run(
            ["/bin/bash", str(ROOT / "infra/kafka/cluster/secrets.sh"), str(folder), *users], check=True, timeout=60
        )
        self.nodes = {node: self._node(node) for node in NODES}

    def _node(self, node: int) -> Server:
        environment = {
            "KAFKA_NODE": str(node),
            "KAFKA_CLUSTER_DIR": str(self._folder),
            "KAFKA_CLUSTER_PORTS": " ".join(map(str, self._ports)),
        }
        log = self._folder / f"node-{node}.log"
        return Server("kafka/cluster/run_node.sh", environment, log, partial(self._answers, node))

    def settings(self, user: str = "admin", *, nodes: Sequence[int] = NODES) -> KafkaSettings:
        """Return the settings of a user's clients."""
        return KafkaSettings(
            ",".join(f"127.0.0.1:{self._ports[3 * (node - 1)]}" for node in nodes),
            user,
            security="SASL_SSL",
            user=user,
            password=(self._folder / "users" / user).read_text().strip(),
            ca_file=str(self._folder / "ca.pem"),
            replication=len(NODES),
            min_in_sync=2,
        )

    def environment(self, user: str, prefix: str = "") -> dict[str, str]:
        """Return the environment variables with which a process connects as a user."""
        return {
            "DRIFTLOOP_KAFKA_BOOTSTRAP": self.settings(user).bootstrap,
            "DRIFTLOOP_KAFKA_SECURITY": "SASL_SSL",
            "DRIFTLOOP_KAFKA_USER": user,
            "DRIFTLOOP_KAFKA_PASSWORD_FILE": str(self._folder / "users" / user),
            "DRIFTLOOP_KAFKA_CA_FILE": str(self._folder / "ca.pem"),
            "DRIFTLOOP_KAFKA_PREFIX": prefix,
            "DRIFTLOOP_KAFKA_REPLICATION": str(len(NODES)),
            "DRIFTLOOP_KAFKA_MIN_IN_SYNC": "2",
        }

    def certified(self) -> KafkaSettings:
        """Return the settings of a client that has a certificate and no password."""
        return KafkaSettings(
            ",".join(f"127.0.0.1:{self._ports[3 * (node - 1) + 1]}" for node in NODES),
            security="SSL",
            ca_file=str(self._folder / "ca.pem"),
            certificate_file=str(self._folder / "admin.pem"),
            key_file=str(self._folder / "admin.key"),
            replication=len(NODES),
            min_in_sync=2,
        )

    def topic(self, kafka: KafkaSettings, partitions: int = 1) -> str:
        """Create a topic with a unique name and return its name."""
        name = f"test-{next(self._numbers)}"
        create_topics(kafka, [TopicPlan(name, partitions, _WEEK_MS)])
        return name

    def leader(self, topic: str, partition: int = 0) -> int:
        """Return the node that leads a partition; ``topic`` is the name at the brokers."""
        metadata = AdminClient(self.settings().admin()).list_topics(topic, timeout=30)
        return int(metadata.topics[topic].partitions[partition].leader)

    def lead(self, topic: str, node: int) -> None:
        """Let a node lead the partition 0 of a topic, if it was the first choice at its creation."""
        client = AdminClient(self.settings().admin())
        if self.leader(topic) != node:
            partition = TopicPartition(topic, 0)
            client.elect_leaders(ElectionType.PREFERRED, [partition]).result()
        assert_eventually(lambda: self.leader(topic) == node, 60.0, f"node {node} as leader")

    def wait_until_in_sync(self) -> None:
        """Wait until all copies of all partitions have all records."""
        assert_eventually(self._in_sync, 120.0, "all copies are in sync")

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Run all nodes during a block. They need each other to start."""
        with ExitStack() as stack:
            for node in self.nodes.values():
                stack.callback(node.stop)
                node.launch()
            for node in self.nodes.values():
                node.wait_until_it_answers(180.0)
            yield self

    def _in_sync(self) -> bool:
        try:
            topics = AdminClient(self.settings().admin()).list_topics(timeout=5).topics.values()
        except KafkaException:
            return False
        partitions = [partition for topic in topics for partition in topic.partitions.values()]
        return all(len(partition.isrs) == len(partition.replicas) == len(NODES) for partition in partitions)

    def _answers(self, node: int) -> bool:
        try:
            return bool(AdminClient(self.settings(nodes=[node]).admin()).list_topics(timeout=1).brokers)
        except KafkaException:
            return False


@pytest.fixture(scope="session")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Start three nodes that all tests of a session share. Tests must use their own topics and groups."""
    from driftloop.ops.topics.acls import list_acls  # most sessions do not need it

    folder = tmp_path_factory.mktemp("kafka-cluster")
    with KafkaCluster(folder, sorted({acl.service for acl in list_acls([])})).running() as cluster:
        yield cluster

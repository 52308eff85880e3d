"""Where the brokers and stores of a cluster on this machine are: folders, ports, addresses, secrets."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from os import getuid
from pathlib import Path

from driftloop.process.atomic_file import replacing
from driftloop.process.home_secrets import read_secret
from driftloop.process.private_files import make_home_private
from driftloop.process.settings import ROOT, Settings

KAFKA_NODES = (1, 2, 3)
REDIS_NODES = range(6)
KAFKA_USER = "admin"
DATABASE_USER = "driftloop"
BUCKET = "driftloop"
TRITON_NAMES = ("", "two")
"""Names of the Tritons with their agents; the first needs none."""
_KAFKA, _REDIS, _REDIS_BUS, _SECOND, _CONTROL, _TRITON = 0, 9, 15, 21, 30, 34
"""First of the ports of each kind, from ``CLUSTER_PORT`` on."""


@dataclass(frozen=True)
class Layout:
    """A cluster in ``folder``, with ports from ``first_port`` on."""

    folder: Path
    first_port: int
    postgres_port: int
    s3_port: int

    @classmethod
    def of(cls, settings: Settings) -> Layout:
        """Return the cluster in the folder of the settings."""
        folder, names = Path(settings.cluster_dir).absolute(), ("CLUSTER_PORT", "POSTGRES_PORT", "OBJECT_STORE_PORT")
        return cls(folder, *map(settings.port, names))

    @property
    def kafka(self) -> Path:
        """Folder of the Kafka nodes, their certificates and the users' passwords."""
        return self.folder / "kafka"

    @property
    def postgres(self) -> Path:
        """Folder of PostgreSQL's data. The user postgres cannot reach a folder of root's that is private."""
        return (
            Path(f"/var/lib/driftloop/postgresql-{self.postgres_port}") if getuid() == 0 else self.folder / "postgres"
        )

    @property
    def data(self) -> list[Path]:
        """Folders that hold what was written, and no secrets."""
        nodes = [self.kafka / f"node-{node}" for node in KAFKA_NODES]
        return [*nodes, self.postgres, *(self.redis(node) for node in REDIS_NODES)]

    @property
    def proxy_file(self) -> Path:
        """File of the proxy's settings."""
        return self.folder / "haproxy.cfg"

    def redis(self, node: int) -> Path:
        """Return the folder of a Redis node."""
        return self.folder / f"redis-{node}"

    def secret(self, name: str) -> Path:
        """Return the file of a secret."""
        return self.folder / "secrets" / name

    @property
    def kafka_ports(self) -> list[int]:
        """Ports for clients, nodes and controllers of each Kafka node in turn."""
        return [self.first_port + _KAFKA + number for number in range(3 * len(KAFKA_NODES))]

    def redis_ports(self, node: int) -> tuple[int, int]:
        """Return a Redis node's ports for clients and for other nodes."""
        return self.first_port + _REDIS + node, self.first_port + _REDIS_BUS + node

    def second_port(self, number: int) -> int:
        """Return the health port of the second instance of a service; ``number`` counts the services."""
        return self.first_port + _SECOND + number

    def control_ports(self, instance: int) -> tuple[int, int]:
        """Return the ports of control's gRPC and page, behind the proxy."""
        first = self.first_port + _CONTROL + 2 * (instance - 1)
        return first, first + 1

    def triton_ports(self, number: int) -> tuple[int, int]:
        """Return the ports of a Triton's gRPC, behind the proxy, and of its metrics."""
        first = self.first_port + _TRITON + 2 * (number - 1)
        return first, first + 1

    def database(self, name: str) -> str:
        """Return the address of a database, with the password."""
        password = read_secret(self.secret("postgres"))
        return f"postgresql+psycopg://{DATABASE_USER}:{password}@127.0.0.1:{self.postgres_port}/{name}"

    def environment(self) -> dict[str, str]:
        """Return the variables with which driftloop's commands and services use this cluster."""
        brokers = ",".join(f"127.0.0.1:{port}" for port in self.kafka_ports[::3])
        redis = ",".join(f"127.0.0.1:{self.redis_ports(node)[0]}" for node in REDIS_NODES)
        return {
            "DRIFTLOOP_CLUSTER_DIR": str(self.folder),
            "DRIFTLOOP_KAFKA_BOOTSTRAP": brokers,
            "DRIFTLOOP_KAFKA_SECURITY": "SASL_SSL",
            "DRIFTLOOP_KAFKA_USER": KAFKA_USER,
            "DRIFTLOOP_KAFKA_PASSWORD_FILE": str(self.kafka / "users" / KAFKA_USER),
            "DRIFTLOOP_KAFKA_CA_FILE": str(self.kafka / "ca.pem"),
            "DRIFTLOOP_KAFKA_REPLICATION": str(len(KAFKA_NODES)),
            "DRIFTLOOP_KAFKA_MIN_IN_SYNC": "2",
            "DRIFTLOOP_STATE_URL_FILE": str(self.secret("state-url")),
            "DRIFTLOOP_STORE_URL": f"s3://{BUCKET}/system",
            "DRIFTLOOP_ONLINE_URL": f"redis+cluster://{redis}",
            "DRIFTLOOP_ONLINE_PASSWORD_FILE": str(self.secret("redis")),
            "DRIFTLOOP_TRITONS": str(len(TRITON_NAMES)),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.s3_port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "driftloop",
            "AWS_SECRET_ACCESS_KEY": read_secret(self.secret("s3")),
        }


def create_secrets(layout: Layout) -> None:
    """Create the passwords and certificates that are missing."""
    make_home_private(layout.folder)
    for name in ("postgres", "redis", "s3"):
        read_secret(layout.secret(name))
    with replacing(layout.secret("state-url")) as partial:
        partial.touch(0o600)
        partial.write_text(layout.database("{service}"))
    script = str(ROOT / "infra" / "kafka" / "cluster" / "secrets.sh")
    subprocess.run(["/bin/bash", script, str(layout.kafka)], check=True, timeout=60, stdin=subprocess.DEVNULL)

"""Prepares the stores of a new cluster: databases, the Redis Cluster, the bucket."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import closing
from typing import Any

from driftloop.ops.system.cluster.layout import BUCKET, REDIS_NODES, TRITON_NAMES, Layout
from driftloop.ops.system.part import SERVICES
from driftloop.process.errors import DriftloopError
from driftloop.process.home_secrets import read_secret
from driftloop.process.settings import Settings

DATABASES = (*SERVICES, *(f"serving-{name}" for name in TRITON_NAMES[1:]), "feast", "mlflow")
_COMMAND_S = 60


def prepare_stores(settings: Settings) -> None:
    """Create what is missing in the running stores of a cluster.

    Raises:
        DriftloopError: a store refuses.
    """
    layout = Layout.of(settings)
    _create_databases(layout)
    _create_redis_cluster(layout)
    _create_bucket(layout)


def remove_data(settings: Settings) -> None:
    """Remove what the stopped stores of a cluster hold; passwords and certificates stay."""
    for folder in Layout.of(settings).data:
        if folder.exists():
            shutil.rmtree(folder)


def _create_databases(layout: Layout) -> None:
    from psycopg import connect, sql

    url = layout.database("postgres").replace("postgresql+psycopg", "postgresql")
    with connect(url, autocommit=True) as connection:
        present = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        for name in DATABASES:
            if name not in present:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _create_redis_cluster(layout: Layout) -> None:
    from redis import Redis

    password = read_secret(layout.secret("redis"))
    addresses = [("127.0.0.1", layout.redis_ports(node)[0]) for node in REDIS_NODES]
    with closing(Redis(*addresses[0], password=password)) as client:
        state: Any = client.cluster("INFO")
        if int(state["cluster_slots_assigned"]):
            return
    nodes = [f"{host}:{port}" for host, port in addresses]
    done = subprocess.run(
        ["redis-cli", "--cluster", "create", *nodes, "--cluster-replicas", "1", "--cluster-yes"],
        env={**os.environ, "REDISCLI_AUTH": password}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=_COMMAND_S,
    )  # fmt: skip
    if done.returncode:
        raise DriftloopError(f"the Redis Cluster cannot be created: {done.stdout[-500:]}{done.stderr[-500:]}")


def _create_bucket(layout: Layout) -> None:
    import boto3

    environment = layout.environment()
    client = boto3.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name=environment["AWS_REGION"])
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)

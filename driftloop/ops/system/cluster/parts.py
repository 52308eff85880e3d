"""Every process of a cluster on this machine but Triton, Prometheus and the first instances of the services."""

from __future__ import annotations

from driftloop.ops.system.cluster.layout import BUCKET, INSTANCES, KAFKA_NODES, REDIS_NODES, Layout
from driftloop.ops.system.part import SERVICES, Part, mlflow, script, service
from driftloop.process.settings import Settings

_STORES = ("kafka-", "postgresql", "redis-", "s3")


def infrastructure(settings: Settings) -> list[Part]:
    """Return the brokers, the stores, MLflow and the proxy of the cluster in ``settings.cluster_dir``."""
    layout = Layout.of(settings)
    return [*_stores(layout), _mlflow(settings, layout), _proxy(settings, layout)]


def is_store(part: Part) -> bool:
    """Return whether other parts can only start once this one answers."""
    return part.name.startswith(_STORES)


def services(settings: Settings) -> list[Part]:
    """Return all instances of all services of the cluster."""
    layout = Layout.of(settings)
    instances = []
    for number, name in enumerate(SERVICES):
        ports = (settings.port(f"{name.upper()}_PORT"), layout.second_port(number))
        for instance, port in enumerate(ports, start=1):
            own = _control_addresses(layout, instance) if name == "control" else {}
            instances.append(service(name, port, instance, **own))
    return instances


def write_proxy_file(settings: Settings) -> None:
    """Write the proxy's settings: it connects clients of control with the instance that is ready."""
    layout = Layout.of(settings)
    health = [part.health_url.split(":")[2].split("/")[0] for part in services(settings) if "control" in part.name]
    lines = ["global", "  maxconn 2000", "defaults", "  mode tcp", "  option redispatch", "  retries 20"]
    lines += [f"  timeout {name} {limit}" for name, limit in (("connect", "1s"), ("client", "1h"), ("server", "1h"))]
    for kind, name in enumerate(("CONTROL_GRPC_PORT", "CONTROL_HTTP_PORT")):
        lines += [f"listen {name}", f"  bind {settings.local(name)}", "  option httpchk GET /ready"]
        for instance in range(1, INSTANCES + 1):
            address = f"127.0.0.1:{layout.control_ports(instance)[kind]}"
            checks = f"check port {health[instance - 1]} inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions"
            lines.append(f"  server control-{instance} {address} {checks}")
    layout.proxy_file.write_text("\n".join(lines) + "\n")


def _stores(layout: Layout) -> list[Part]:
    kafka = [
        Part(
            f"kafka-{node}",
            script("kafka/cluster/run_node.sh"),
            {
                "KAFKA_NODE": str(node),
                "KAFKA_CLUSTER_DIR": str(layout.kafka),
                "KAFKA_CLUSTER_PORTS": " ".join(map(str, layout.kafka_ports)),
            },
            f"tcp://127.0.0.1:{layout.kafka_ports[3 * (node - 1)]}",
            kind="infrastructure",
            stop_timeout_s=30,
        )
        for node in KAFKA_NODES
    ]
    postgres = Part(
        "postgresql",
        script("postgresql/run.sh"),
        {
            "POSTGRES_DIR": str(layout.postgres),
            "POSTGRES_PORT": str(layout.postgres_port),
            "POSTGRES_PASSWORD_FILE": str(layout.secret("postgres")),
        },
        f"tcp://127.0.0.1:{layout.postgres_port}",
        kind="infrastructure",
        stop_signal="SIGINT",  # end at once; with SIGTERM it would wait for its clients
    )
    s3 = Part(
        "s3",
        script("s3/run.sh"),
        {"S3_PORT": str(layout.s3_port), "S3_DIR": str(layout.s3), "S3_PASSWORD_FILE": str(layout.secret("s3"))},
        f"tcp://127.0.0.1:{layout.s3_port}",
        kind="infrastructure",
    )
    return [*kafka, postgres, *(_redis(layout, node) for node in REDIS_NODES), s3]


def _redis(layout: Layout, node: int) -> Part:
    port, bus = layout.redis_ports(node)
    environment = {
        "REDIS_DIR": str(layout.redis(node)),
        "REDIS_PORT": str(port),
        "REDIS_BUS_PORT": str(bus),
        "REDIS_PASSWORD_FILE": str(layout.secret("redis")),
    }
    url = f"tcp://127.0.0.1:{port}"
    return Part(f"redis-{node + 1}", script("redis/run_node.sh"), environment, url, kind="infrastructure")


def _mlflow(settings: Settings, layout: Layout) -> Part:
    return mlflow(settings.port("MLFLOW_PORT"), f"s3://{BUCKET}/mlflow", layout.database("mlflow"))


def _proxy(settings: Settings, layout: Layout) -> Part:
    environment = {"HAPROXY_FILE": str(layout.proxy_file)}
    url = f"tcp://{settings.local('CONTROL_GRPC_PORT')}"
    return Part("proxy", script("haproxy/run.sh"), environment, url, kind="infrastructure")


def _control_addresses(layout: Layout, instance: int) -> dict[str, str]:
    grpc, page = layout.control_ports(instance)
    return {"DRIFTLOOP_CONTROL_GRPC": f"127.0.0.1:{grpc}", "DRIFTLOOP_CONTROL_HTTP": f"127.0.0.1:{page}"}

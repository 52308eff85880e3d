"""Every process of a cluster on this machine but Prometheus.

A service's second instance waits as a standby. The second serving agent works: it has a Triton of its own.
"""

from __future__ import annotations

from driftloop.ops.system.cluster.layout import BUCKET, KAFKA_NODES, REDIS_NODES, TRITON_NAMES, Layout
from driftloop.ops.system.part import SERVICES, Part, mlflow, script, service, triton
from driftloop.process.settings import Settings

_STORES = ("kafka-", "postgresql", "redis-", "s3")


def infrastructure(settings: Settings) -> list[Part]:
    """Return the brokers, the stores, MLflow, the Tritons and the proxy of the cluster in ``settings.cluster_dir``."""
    layout = Layout.of(settings)
    tritons = [
        triton(own, *layout.triton_ports(number)) for number, own in enumerate(settings_of_tritons(settings), start=1)
    ]
    return [*_stores(layout), _mlflow(settings, layout), *tritons, _proxy(settings, layout)]


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
            instances.append(service(name, port, instance, **_addresses(settings, layout, name, instance)))
    return instances


def settings_of_tritons(settings: Settings) -> list[Settings]:
    """Return the settings that the agent of each Triton has."""
    layout, own = Layout.of(settings), []
    for number, name in enumerate(TRITON_NAMES, start=1):
        grpc, metrics = (f"127.0.0.1:{port}" for port in layout.triton_ports(number))
        own.append(settings.model_copy(update={"triton_name": name, "triton_grpc": grpc, "triton_metrics": metrics}))
    return own


def write_proxy_file(settings: Settings) -> None:
    """Write the proxy's settings: it connects clients with an instance that is ready.

    Requests to Triton are spread over all of them. Connections to control go to the instance that works.
    """
    layout = Layout.of(settings)
    instances = {part.name: part for part in services(settings)}
    lines = ["global", "  maxconn 2000", "defaults", "  option redispatch", "  retries 20"]
    lines += [f"  timeout {name} {limit}" for name, limit in (("connect", "1s"), ("client", "1h"), ("server", "1h"))]
    fronts = (
        ("CONTROL_GRPC_PORT", "control", "DRIFTLOOP_CONTROL_GRPC", "tcp", ""),
        ("CONTROL_HTTP_PORT", "control", "DRIFTLOOP_CONTROL_HTTP", "tcp", ""),
        ("TRITON_GRPC_PORT", "serving", "DRIFTLOOP_TRITON_GRPC", "http", " proto h2"),
    )
    for port, name, address, mode, protocol in fronts:
        lines += [f"listen {port}", f"  mode {mode}", f"  bind {settings.local(port)}{protocol}"]
        lines.append("  option httpchk GET /ready")
        for instance in (instances[name], instances[f"{name}-2"]):
            health = instance.environment["DRIFTLOOP_HEALTH_PORT"]
            checks = f"check port {health} check-proto h1 inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions"
            lines.append(f"  server {instance.name} {instance.environment[address]}{protocol} {checks}")
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
        {"S3_PORT": str(layout.s3_port)},
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


def _addresses(settings: Settings, layout: Layout, name: str, instance: int) -> dict[str, str]:
    """Return the variables of an instance that is behind the proxy."""
    if name == "control":
        grpc, page = layout.control_ports(instance)
        return {"DRIFTLOOP_CONTROL_GRPC": f"127.0.0.1:{grpc}", "DRIFTLOOP_CONTROL_HTTP": f"127.0.0.1:{page}"}
    if name == "serving":
        own = settings_of_tritons(settings)[instance - 1]
        return {
            "DRIFTLOOP_TRITON_NAME": own.triton_name,
            "DRIFTLOOP_TRITON_GRPC": own.triton_grpc,
            "DRIFTLOOP_TRITON_METRICS": own.triton_metrics,
        }
    return {}

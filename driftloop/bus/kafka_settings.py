"""The settings of every Kafka client, from one set of values. docs/decisions/0010 says what each client is for."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from driftloop.bus.topic_plan import MAX_MESSAGE_BYTES
from driftloop.process.errors import ConfigError
from driftloop.process.settings import KafkaSecurity, SaslMechanism, Settings

T = TypeVar("T")

FETCH_BYTES = 1_000_000
"""Size of what one request of a batch consumer reads; a single batch may be larger.

librdkafka decompresses all that a request returns at once, and gzip can reach a thousand times the size."""
ZSTD_BYTES = 100_000_000
"""Size up to which librdkafka decompresses zstd. It has no limit for other codecs."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Values that the clients share, and the options of each client. ``bootstrap``: `host:port[,host:port]`."""

    bootstrap: str
    client: str = ""
    """Name of the program that connects, such as ``ingestion``. Brokers use it in quotas, logs and metrics."""
    security: KafkaSecurity = "PLAINTEXT"
    mechanism: SaslMechanism = "SCRAM-SHA-512"
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    """PEM file with the authorities that sign the brokers' certificates; empty: those of the system."""
    certificate_file: str = ""
    """PEM file with the client's certificate, for brokers that ask for one."""
    key_file: str = ""
    prefix: str = ""
    """Start of the names of all topics and groups at the brokers. The bus adds and removes it."""
    compression: str = "none"
    instance: str = ""
    """Name of the process among the members of its groups: a static membership (KIP-345). Empty: each start is a new
    member."""
    replication: int = 1
    """Number of copies of each topic that is created."""
    min_in_sync: int = 1
    """Number of copies that must have a record before it counts as written."""
    session_timeout_s: float = 6.0
    """Time without a heartbeat after which the broker drops a consumer."""
    heartbeat_interval_s: float = 1.5
    fetch_wait_s: float = 0.5
    """Longest wait of the broker for a record."""

    @classmethod
    def of(cls, settings: Settings, client: str = "driftloop") -> KafkaSettings:
        """Return the settings of a program's clients; by default of the command line's.

        Raises:
            ConfigError: settings contradict each other, or a file cannot be read.
        """
        _check_combination(settings)
        kafka = cls(
            settings.kafka_bootstrap,
            client,
            security=settings.kafka_security,
            mechanism=settings.kafka_sasl_mechanism,
            user=settings.kafka_user,
            password=_read_password(settings),
            ca_file=settings.kafka_ca_file,
            certificate_file=settings.kafka_certificate_file,
            key_file=settings.kafka_key_file,
            prefix=settings.kafka_prefix,
            compression=settings.kafka_compression,
            instance=settings.kafka_instance,
            session_timeout_s=settings.kafka_session_timeout_s,
            heartbeat_interval_s=settings.kafka_session_timeout_s / 4,
            replication=settings.kafka_replication,
            min_in_sync=settings.kafka_min_in_sync,
        )
        if kafka._uses_tls:
            kafka._ssl_context()  # reads the files
        return kafka

    def full_name(self, name: str) -> str:
        """Return the name of a topic or a group at the brokers."""
        return self.prefix + name

    def declared_name(self, name: str) -> str:
        """Return the declared name of a topic or a group at the brokers."""
        return name[len(self.prefix) :]

    def admin(self) -> dict[str, Any]:
        """Return options of confluent-kafka's admin client. It does not log, because a broker may still be starting."""
        return {**self._librdkafka(), "log_level": 0}

    def batch_consumer(self, group: str) -> dict[str, Any]:
        """Return options of confluent-kafka's consumer."""
        return {
            **self._librdkafka(),
            "group.id": self.full_name(group),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": _ms(self.fetch_wait_s),
            "fetch.max.bytes": FETCH_BYTES,
            "receive.message.max.bytes": ZSTD_BYTES,
            "fetch.error.backoff.ms": 50,
            "session.timeout.ms": _ms(self.session_timeout_s),
            "heartbeat.interval.ms": _ms(self.heartbeat_interval_s),
            "allow.auto.create.topics": False,
        }

    def batch_producer(self, linger_ms: int) -> dict[str, Any]:
        """Return options of confluent-kafka's producer.

        It has one request in progress at a time. With more, a broker that is not yet a partition's leader may refuse a
        first batch and accept the second. The first, sent again, then counts as a duplicate, and librdkafka reports
        records as delivered that were never written.
        """
        return {
            **self._librdkafka(),
            "acks": "all",
            "enable.idempotence": True,
            "max.in.flight": 1,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 200_000,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "linger.ms": linger_ms,
            **({} if self.compression == "none" else {"compression.type": self.compression}),
        }

    def lifecycle_consumer(self, group: str) -> dict[str, Any]:
        """Return arguments of aiokafka's consumer."""
        return {
            **self._aiokafka(),
            "group_id": self.full_name(group),
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "fetch_max_wait_ms": _ms(self.fetch_wait_s),
            "session_timeout_ms": _ms(self.session_timeout_s),
            "heartbeat_interval_ms": _ms(self.heartbeat_interval_s),
            "metadata_max_age_ms": 60_000,
            **({"group_instance_id": self.instance} if self.instance else {}),
        }

    def lifecycle_producer(self) -> dict[str, Any]:
        """Return arguments of aiokafka's producer."""
        return {
            **self._aiokafka(),
            "acks": "all",
            "enable_idempotence": True,
            "max_request_size": MAX_MESSAGE_BYTES,
            "request_timeout_ms": 10_000,
            **({} if self.compression == "none" else {"compression_type": self.compression}),
        }

    def raw_client(self) -> dict[str, Any]:
        """Return arguments of aiokafka's client for single requests."""
        return self._aiokafka()

    def faust(self, commit_interval_s: float) -> dict[str, Any]:
        """Return arguments of a Faust app that concern the broker."""
        return {
            "broker": [f"kafka://{address}" for address in self.bootstrap.split(",")],
            "broker_session_timeout": self.session_timeout_s,
            "broker_heartbeat_interval": self.heartbeat_interval_s,
            "broker_commit_interval": commit_interval_s,
            "consumer_auto_offset_reset": "earliest",
            "processing_guarantee": "at_least_once",
            **({"broker_client_id": self.client} if self.client else {}),
            **({"consumer_group_instance_id": self.instance} if self.instance else {}),
            **({} if self.compression == "none" else {"producer_compression_type": self.compression}),
            **({} if self.security == "PLAINTEXT" else {"broker_credentials": self._faust_credentials()}),
        }

    def with_session(self, timeout_s: float, heartbeat_interval_s: float) -> KafkaSettings:
        """Return these settings with another session."""
        return replace(self, session_timeout_s=timeout_s, heartbeat_interval_s=heartbeat_interval_s)

    @property
    def _uses_tls(self) -> bool:
        return self.security in ("SSL", "SASL_SSL")

    @property
    def _uses_sasl(self) -> bool:
        return self.security in ("SASL_PLAINTEXT", "SASL_SSL")

    def _librdkafka(self) -> dict[str, Any]:
        """Return the options that all clients of confluent-kafka share."""
        options = {"bootstrap.servers": self.bootstrap}
        if self.client:
            options["client.id"] = self.client
        if self.security != "PLAINTEXT":
            options["security.protocol"] = self.security
        if self._uses_sasl:
            options |= {"sasl.mechanism": self.mechanism, "sasl.username": self.user, "sasl.password": self.password}
        files = {
            "ssl.ca.location": self.ca_file,
            "ssl.certificate.location": self.certificate_file,
            "ssl.key.location": self.key_file,
        }
        return options | {name: path for name, path in files.items() if path}

    def _aiokafka(self) -> dict[str, Any]:
        """Return the arguments that all clients of aiokafka share."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap}
        if self.client:
            options["client_id"] = self.client
        if self.security != "PLAINTEXT":
            options["security_protocol"] = self.security
        if self._uses_tls:
            options["ssl_context"] = self._ssl_context()
        if self._uses_sasl:
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return options

    def _faust_credentials(self) -> Any:
        from faust import auth  # slow to import, and only the detectors need it

        context = self._ssl_context() if self._uses_tls else None
        if not self._uses_sasl:
            return auth.SSLCredentials(context=context)
        return auth.SASLCredentials(
            username=self.user, password=self.password, mechanism=self.mechanism, ssl_context=context
        )

    def _ssl_context(self) -> ssl.SSLContext:
        """Return a context that checks the brokers' certificates and names.

        Raises:
            ConfigError: a file cannot be read, or has no certificate or key.
        """
        make = partial(ssl.create_default_context, cafile=self.ca_file or None)
        context = _load("DRIFTLOOP_KAFKA_CA_FILE", self.ca_file, make)
        if self.certificate_file:
            # The empty password prevents that OpenSSL asks for one on the terminal.
            load = partial(context.load_cert_chain, self.certificate_file, self.key_file, password="")
            _load("DRIFTLOOP_KAFKA_CERTIFICATE_FILE", self.certificate_file, load)
        return context


def _check_combination(settings: Settings) -> None:
    """Check that settings fit together.

    Raises:
        ConfigError: they do not.
    """
    security = settings.kafka_security
    sasl = {"DRIFTLOOP_KAFKA_USER": settings.kafka_user, "DRIFTLOOP_KAFKA_PASSWORD_FILE": settings.kafka_password_file}
    tls = {
        "DRIFTLOOP_KAFKA_CA_FILE": settings.kafka_ca_file,
        "DRIFTLOOP_KAFKA_CERTIFICATE_FILE": settings.kafka_certificate_file,
        "DRIFTLOOP_KAFKA_KEY_FILE": settings.kafka_key_file,
    }
    if security.startswith("SASL"):
        for name in (name for name, value in sasl.items() if not value):
            raise ConfigError(f"DRIFTLOOP_KAFKA_SECURITY is {security}, which needs {name}; set it")
    for name in (name for name, value in sasl.items() if value and not security.startswith("SASL")):
        raise ConfigError(f"{name} is set, but DRIFTLOOP_KAFKA_SECURITY is {security}; write SASL_SSL or unset {name}")
    for name in (name for name, value in tls.items() if value and not security.endswith("SSL")):
        raise ConfigError(f"{name} is set, but DRIFTLOOP_KAFKA_SECURITY is {security}; write SSL or SASL_SSL")
    if settings.kafka_min_in_sync > settings.kafka_replication:
        problem = f"DRIFTLOOP_KAFKA_MIN_IN_SYNC is {settings.kafka_min_in_sync}"
        raise ConfigError(f"{problem}, more than DRIFTLOOP_KAFKA_REPLICATION ({settings.kafka_replication}); lower it")
    if bool(settings.kafka_certificate_file) != bool(settings.kafka_key_file):
        raise ConfigError("set both DRIFTLOOP_KAFKA_CERTIFICATE_FILE and DRIFTLOOP_KAFKA_KEY_FILE, or none of them")


def _read_password(settings: Settings) -> str:
    path = settings.kafka_password_file
    if not path:
        return ""
    return _load("DRIFTLOOP_KAFKA_PASSWORD_FILE", path, lambda: Path(path).read_text(encoding="utf-8").strip())


def _load(setting: str, path: str, load: Callable[[], T]) -> T:
    """Load a file that a setting names.

    Raises:
        ConfigError: it cannot be read, or has no certificate.
    """
    try:
        return load()
    except ssl.SSLError as error:
        raise ConfigError(
            f"{setting} is {path!r}, which has no certificate, or not the one of its key; give a PEM file"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{setting} is {path!r}, which cannot be read ({type(error).__name__})"
        raise ConfigError(f"{problem}; give the path of a text file") from error


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

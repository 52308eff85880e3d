from __future__ import annotations

import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from faust import auth

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.process.errors import ConfigError
from driftloop.process.settings import Settings

SETTINGS = KafkaSettings("127.0.0.1:1,127.0.0.1:2", session_timeout_s=7.0, heartbeat_interval_s=2.5)
SECURITY = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A password, and a certificate that signs itself, with its key."""
    folder = tmp_path_factory.mktemp("files")
    names = {name: str(folder / f"{name}.pem") for name in ("ca", "key", "password")}
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=test", "-keyout", names["key"], "-out", names["ca"]],
        check=True, capture_output=True,
    )  # fmt: skip
    Path(names["password"]).write_text("hush hush\n")
    return names


def secured(files: Mapping[str, str], security: str) -> Settings:
    values: dict[str, Any] = {"kafka_security": security}
    if security.startswith("SASL"):
        values |= {"kafka_user": "ingestion", "kafka_password_file": files["password"]}
    if security.endswith("SSL"):
        values |= {"kafka_ca_file": files["ca"]}
    if security == "SSL":
        values |= {"kafka_certificate_file": files["ca"], "kafka_key_file": files["key"]}
    return Settings(**values)


def test_every_client_gets_the_same_session() -> None:
    batch, lifecycle, faust = SETTINGS.batch_consumer("g"), SETTINGS.lifecycle_consumer("g"), SETTINGS.faust(0.25)
    assert batch["session.timeout.ms"] == lifecycle["session_timeout_ms"] == 7_000
    assert batch["heartbeat.interval.ms"] == lifecycle["heartbeat_interval_ms"] == 2_500
    assert (faust["broker_session_timeout"], faust["broker_heartbeat_interval"]) == (7.0, 2.5)
    assert batch["fetch.wait.max.ms"] == lifecycle["fetch_max_wait_ms"] == 500


def test_both_producers_wait_for_all_replicas_and_accept_the_same_size() -> None:
    batch, lifecycle = SETTINGS.batch_producer(1), SETTINGS.lifecycle_producer()
    assert (batch["acks"], batch["enable.idempotence"]) == (lifecycle["acks"], lifecycle["enable_idempotence"])
    assert batch["message.max.bytes"] == lifecycle["max_request_size"] == 8_000_000


def test_the_batch_producer_has_one_request_in_progress() -> None:
    """librdkafka reports records as delivered that were never written, if it has more when a leader moves."""
    assert SETTINGS.batch_producer(1)["max.in.flight"] == 1


def test_faust_lists_the_brokers_as_addresses() -> None:
    assert SETTINGS.faust(0.25)["broker"] == ["kafka://127.0.0.1:1", "kafka://127.0.0.1:2"]


def test_without_settings_no_client_gets_options_of_security() -> None:
    kafka = KafkaSettings.of(Settings())
    options = {*kafka.admin(), *kafka.batch_consumer("g"), *kafka.batch_producer(1), *kafka.lifecycle_consumer("g")}
    options |= {*kafka.lifecycle_producer(), *kafka.faust(0.25)}
    assert not [name for name in options if name.startswith(("ssl", "sasl", "security", "broker_credentials"))]


@pytest.mark.parametrize("security", SECURITY)
async def test_the_clients_accept_their_options(files: Mapping[str, str], security: str) -> None:
    kafka, quiet = KafkaSettings.of(secured(files, security), "ingestion"), {"log_level": 0}
    Consumer({**kafka.batch_consumer("g"), **quiet}).close()
    Producer({**kafka.batch_producer(1), **quiet}).close()
    AdminClient(kafka.admin())
    AIOKafkaConsumer(**kafka.lifecycle_consumer("g"))
    AIOKafkaProducer(**kafka.lifecycle_producer())


def test_every_client_proves_who_it_is_and_checks_the_broker(files: Mapping[str, str]) -> None:
    kafka = KafkaSettings.of(secured(files, "SASL_SSL"), "ingestion")
    for options in (kafka.admin(), kafka.batch_consumer("g"), kafka.batch_producer(1)):
        assert options["security.protocol"] == "SASL_SSL"
        assert options["sasl.mechanism"] == "SCRAM-SHA-512"
        assert (options["sasl.username"], options["sasl.password"]) == ("ingestion", "hush hush")
        assert options["ssl.ca.location"] == files["ca"]
    for options in (kafka.lifecycle_consumer("g"), kafka.lifecycle_producer()):
        assert (options["security_protocol"], options["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
        assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("ingestion", "hush hush")
        assert options["ssl_context"].check_hostname
        assert options["ssl_context"].verify_mode == ssl.CERT_REQUIRED
    credentials = kafka.faust(0.25)["broker_credentials"]
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (credentials.username, credentials.password) == ("ingestion", "hush hush")
    assert credentials.ssl_context.check_hostname


def test_faust_gets_a_client_certificate(files: Mapping[str, str]) -> None:
    credentials = KafkaSettings.of(secured(files, "SSL")).faust(0.25)["broker_credentials"]
    assert isinstance(credentials, auth.SSLCredentials)


def test_brokers_see_which_program_connects() -> None:
    kafka = KafkaSettings.of(Settings(), "ingestion")
    assert kafka.batch_producer(1)["client.id"] == kafka.lifecycle_consumer("g")["client_id"] == "ingestion"
    assert kafka.faust(0.25)["broker_client_id"] == "ingestion"


def test_topics_and_groups_have_the_prefix_of_their_system() -> None:
    kafka = KafkaSettings.of(Settings(kafka_prefix="staging."))
    assert kafka.full_name("orders.placed.dlq") == "staging.orders.placed.dlq"
    assert kafka.declared_name("staging.orders.placed.dlq") == "orders.placed.dlq"
    assert kafka.batch_consumer("g")["group.id"] == kafka.lifecycle_consumer("g")["group_id"] == "staging.g"


async def test_a_named_instance_is_a_static_member() -> None:
    kafka = KafkaSettings.of(Settings(kafka_instance="1", kafka_session_timeout_s=40.0))
    options = kafka.lifecycle_consumer("g")
    assert (options["group_instance_id"], options["session_timeout_ms"]) == ("1", 40_000)
    assert kafka.faust(0.25)["consumer_group_instance_id"] == "1"
    AIOKafkaConsumer(**options)


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_client_has_the_compression(compression: str) -> None:
    kafka = KafkaSettings.of(Settings.model_validate({"kafka_compression": compression}))
    Producer({**kafka.batch_producer(1), "log_level": 0}).close()
    AIOKafkaProducer(**kafka.lifecycle_producer())  # refuses a codec that is not installed
    assert kafka.faust(0.25)["producer_compression_type"] == compression


def test_by_default_names_are_the_declared_ones_and_a_start_is_a_new_member() -> None:
    kafka = KafkaSettings.of(Settings())
    assert kafka.lifecycle_consumer("g") == {"client_id": "driftloop"} | KafkaSettings(
        Settings().kafka_bootstrap
    ).lifecycle_consumer("g")
    assert kafka.full_name("orders.placed") == "orders.placed"
    assert not {"group_instance_id", "compression_type"} & {*kafka.lifecycle_consumer("g"), *kafka.lifecycle_producer()}
    assert (kafka.replication, kafka.min_in_sync) == (1, 1)


def test_the_password_is_not_shown(files: Mapping[str, str]) -> None:
    settings = secured(files, "SASL_SSL")
    assert "hush" not in f"{settings!r} {settings.variables()} {KafkaSettings.of(settings)!r}"


def test_a_child_process_gets_the_same_settings(
    files: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(files["password"]).parent)
    settings = Settings(kafka_security="SASL_PLAINTEXT", kafka_user="u", kafka_password_file="password.pem")
    for name, value in settings.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert KafkaSettings.of(Settings()) == KafkaSettings.of(settings)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"kafka_security": "SASL_SSL", "kafka_password_file": "/etc/hosts"}, "needs DRIFTLOOP_KAFKA_USER; set it"),
        ({"kafka_security": "SASL_SSL", "kafka_user": "u"}, "needs DRIFTLOOP_KAFKA_PASSWORD_FILE; set it"),
        ({"kafka_user": "u"}, "DRIFTLOOP_KAFKA_USER is set, but DRIFTLOOP_KAFKA_SECURITY is PLAINTEXT"),
        ({"kafka_ca_file": "/etc/hosts"}, "DRIFTLOOP_KAFKA_CA_FILE is set, but DRIFTLOOP_KAFKA_SECURITY is PLAINTEXT"),
        ({"kafka_replication": 2, "kafka_min_in_sync": 3}, "DRIFTLOOP_KAFKA_MIN_IN_SYNC is 3, more than"),
        ({"kafka_security": "SSL", "kafka_key_file": "/etc/hosts"}, "set both DRIFTLOOP_KAFKA_CERTIFICATE_FILE and"),
        ({"kafka_security": "SSL", "kafka_ca_file": "/no/such"}, "DRIFTLOOP_KAFKA_CA_FILE is '/no/such', which cannot"),
        (
            {"kafka_security": "SASL_SSL", "kafka_user": "u", "kafka_password_file": "/no/such"},
            "DRIFTLOOP_KAFKA_PASSWORD_FILE is '/no/such', which cannot be read",
        ),
        (
            {"kafka_security": "SSL", "kafka_ca_file": "/etc/hosts"},
            "DRIFTLOOP_KAFKA_CA_FILE is '/etc/hosts', which has no certificate",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        KafkaSettings.of(Settings(**values))

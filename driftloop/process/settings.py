"""Settings that all processes share, from the environment and `.env`. A service extends them with its own.

Each setting is read from `DRIFTLOOP_<NAME>`. Ports and addresses default to `driftloop/process/tcp_ports.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from driftloop.process import tcp_ports
from driftloop.process.errors import ConfigError
from driftloop.process.home_secrets import read_secret
from driftloop.process.object_store import OBJECT_CACHE, Folder, RemoteFolder

ROOT = Path(__file__).resolve().parents[2]

KafkaSecurity = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
"""How clients connect to Kafka: with TLS or without, with a user's password (SASL) or without."""
SaslMechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512"]


def _local_address(port: str, address: str = "{}") -> Callable[[dict[str, Any]], str]:
    """Return a default factory: the local address of a port, counted from the ``port_base`` of the settings."""
    return lambda settings: address.format(tcp_ports.local(port, settings.get("port_base")))


class Settings(BaseSettings):
    """Addresses and folders of the shared parts. Frozen; unknown names raise an error."""

    model_config = SettingsConfigDict(
        env_prefix="DRIFTLOOP_", frozen=True, extra="forbid", env_file=None, arbitrary_types_allowed=False,
        hide_input_in_errors=True,  # a value may have a password
    )  # fmt: skip

    home: Path = ROOT / "var"
    """Folder of all state on local disk."""
    loops_dir: Path = ROOT / "loops"
    """Folder with one subfolder per loop."""
    loops: tuple[str, ...] = ()
    """Names of the loops to run; empty runs all in `loops_dir`. As JSON: `["orders"]`."""
    feature_repo: Path = ROOT / "feature_repo"
    """Folder of the Feast definitions."""
    host: str = "127.0.0.1"
    """Address that servers on this machine listen on."""
    port_base: int = Field(default_factory=tcp_ports.port_base)
    """Base of all ports, from `PORT_BASE` by default; 0 uses the ports in `.env`."""
    kafka_bootstrap: str = Field(default_factory=_local_address("KAFKA_PORT"))
    """Kafka's bootstrap servers, `host:port[,host:port]`."""
    kafka_security: KafkaSecurity = "PLAINTEXT"
    """Protocol of Kafka's clients."""
    kafka_sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    """How the user proves the password, if `kafka_security` is SASL_PLAINTEXT or SASL_SSL."""
    kafka_user: str = ""
    """Kafka user of this process."""
    kafka_password_file: str = ""
    """File with the password of `kafka_user`."""
    kafka_ca_file: str = ""
    """PEM file with the authorities that sign the brokers' certificates; empty: those of the system."""
    kafka_certificate_file: str = ""
    """PEM file with this process's own certificate, if the brokers ask for one."""
    kafka_key_file: str = ""
    """PEM file with the key of that certificate, without a password."""
    kafka_prefix: str = Field(default="", pattern=r"^[a-zA-Z0-9._-]*$")
    """Start of the names of all topics and consumer groups, such as `staging.`, if systems share the brokers."""
    kafka_compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    """Compression of what producers send."""
    kafka_instance: str = Field(default="", pattern=r"^[a-zA-Z0-9._-]*$")
    """Name of this process among those of its service, such as `1`. It then keeps its partitions over a restart that is
    shorter than `kafka_session_timeout_s`."""
    kafka_session_timeout_s: float = Field(default=6.0, ge=1.0)
    """Time without a sign of life after which the brokers give a consumer's partitions to others."""
    kafka_replication: int = Field(default=1, ge=1)
    """Number of copies of each topic that `driftloop up` and `driftloop topics apply` create."""
    kafka_min_in_sync: int = Field(default=1, ge=1)
    """Number of copies that must have a record before it counts as written."""
    triton_grpc: str = Field(default_factory=_local_address("TRITON_GRPC_PORT"))
    """Triton's gRPC address, `host:port`."""
    triton_metrics: str = Field(default_factory=_local_address("TRITON_METRICS_PORT"))
    """Triton's metrics address, `host:port`."""
    triton_name: str = Field(default="", pattern=r"^[a-z0-9-]{0,32}$")
    """Name of this Triton with its agent and spool, if the system has several; the first one needs none."""
    control_grpc: str = Field(default_factory=_local_address("CONTROL_GRPC_PORT"))
    """The control service's gRPC address, `host:port`."""
    control_http: str = Field(default_factory=_local_address("CONTROL_HTTP_PORT"), pattern=r"^[^/]+:\d+$")
    """Address of the control service's web page, `host:port`. The service listens on that port of `host`."""
    triton_control_token: str = Field(default="", repr=False)
    """Token that Triton requires, as a header, for load and unload calls; empty: `secrets/triton-control` of `home`."""
    mlflow_uri: str = Field(default_factory=_local_address("MLFLOW_PORT", "http://{}"))
    """MLflow's tracking and registry address."""
    state_url: str = Field(default="", repr=False)
    """SQLAlchemy URL that contains `{service}`; empty: SQLite files below `home`."""
    store_url: str = Field(default="", pattern=r"^(s3://[^/]+(/[^/]+)*)?$")
    """Folder in a bucket, `s3://bucket/folder`, of the lake, bundles and imported models; empty: folders below `home`.
    The address and the credentials are in AWS's variables, such as `AWS_ENDPOINT_URL` and `AWS_ACCESS_KEY_ID`."""
    state_url_file: str = ""
    """File with `state_url`, which keeps its password out of the environment."""
    online_url: str = ""
    """Redis as online store: `redis://[user@]host:port[/db]` or `redis+cluster://[user@]host:port,host:port`; with TLS
    `rediss`. Empty: an SQLite file below `home`."""
    online_password_file: str = ""
    """File with the password of the online store."""
    online_ca_file: str = ""
    """PEM file with the authorities that sign the online store's certificate; empty: those of the system."""
    instance: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,64}$")
    """Name of this instance, if several instances of a service share a home. One of them works, the others wait."""
    cluster_dir: str = ""
    """Folder of the brokers and stores of `driftloop cluster`, which sets it; empty: one Kafka, and files."""
    lease_s: float = Field(default=15.0, gt=0)
    """Time after which a standby takes over from an instance that does not renew its lease."""
    health_port: int = Field(default=0, ge=0, le=65535)
    """Port of `/live`, `/ready` and `/metrics` of this process; 0 uses any free port."""
    log_level: str = "INFO"
    """Lowest level that is logged."""
    seed: int = 0
    """Seed of random values in a process (back-off jitter, prediction ids)."""

    @field_validator("port_base")
    @classmethod
    def _check_base(cls, base: int) -> int:
        return tcp_ports.checked_base(base)

    @field_validator(
        "kafka_password_file", "kafka_ca_file", "kafka_certificate_file", "kafka_key_file", "online_password_file",
        "online_ca_file",
    )  # fmt: skip
    @classmethod
    def _make_absolute(cls, path: str) -> str:
        """Return the absolute path, so that a child process may run in any folder."""
        return str(Path(path).absolute()) if path else ""

    @model_validator(mode="before")
    @classmethod
    def _read_state_url(cls, values: dict[str, Any]) -> dict[str, Any]:
        path = values.get("state_url_file")
        if not path:
            return values
        try:
            url = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = f"DRIFTLOOP_STATE_URL_FILE is {path!r}, which cannot be read ({type(error).__name__})"
            raise ConfigError(f"{problem}; give the path of a text file") from error
        if values.get("state_url", url) != url:
            raise ConfigError("DRIFTLOOP_STATE_URL and DRIFTLOOP_STATE_URL_FILE are both set; unset one")
        return {**values, "state_url": url}

    @field_validator("state_url")
    @classmethod
    def _check_state_url(cls, url: str) -> str:
        try:
            if not url or url.format(service="a") != url.format(service="b"):
                return url
        except (LookupError, ValueError):
            pass
        raise ValueError("write {service} where the service's name belongs, and {{ or }} for a brace in a password")

    def port(self, name: str) -> int:
        """Return the port with that name, such as ``KAFKA_PORT``."""
        return tcp_ports.port(name, self.port_base)

    def local(self, name: str) -> str:
        """Return ``127.0.0.1:<port>`` for the port with that name."""
        return tcp_ports.local(name, self.port_base)

    def variables(self) -> dict[str, str]:
        """Return environment variables that give another process these settings, except its own health port."""
        shared = Settings.model_fields.keys() - {"health_port", *(["state_url"] if self.state_url_file else [])}
        return tcp_ports.variables(self.port_base) | {
            f"DRIFTLOOP_{name.upper()}": _text(getattr(self, name)) for name in sorted(shared)
        }

    def database_url(self, service: str) -> str:
        """Return the SQLAlchemy URL of a service's database. Creates the folder of an SQLite file."""
        if self.state_url:
            return self.state_url.format(service=service)
        folder = self.home / "state"
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{folder / f'{service}.db'}"

    def control_token(self) -> str:
        """Return the token that Triton requires for load and unload calls.

        Raises:
            ConfigError: other accounts can read the home's token.
        """
        return self.triton_control_token or read_secret(self.control_secret)

    def with_triton(self, name: str) -> str:
        """Return a name of something that each Triton or agent has of its own."""
        return f"{name}-{self.triton_name}" if self.triton_name else name

    @property
    def control_secret(self) -> Path:
        """File with the token for Triton's load and unload calls, unless a setting has it."""
        return self.home / "secrets" / "triton-control"

    @property
    def probe_secret(self) -> Path:
        """File with the secret that lets a prediction request call itself a probe."""
        return self.home / "secrets" / "probe"

    @property
    def lake(self) -> Folder:
        """Root folder of the Delta tables."""
        return self.shared / "lake"

    @property
    def shared(self) -> Folder:
        """Folder of what services on several machines read: the lake, bundles, holdouts and imported models."""
        return RemoteFolder(self.store_url) if self.store_url else self.home

    @property
    def object_cache(self) -> Path:
        """Folder of local copies of objects in a bucket."""
        return self.home / OBJECT_CACHE

    @property
    def online_db(self) -> Path:
        """File of Feast's SQLite online store."""
        return self.home / "online" / "online.db"

    @property
    def bundles(self) -> Path:
        """Root folder of the bundles that training writes."""
        return self.home / "bundles"

    @property
    def spool(self) -> Path:
        """Root folder of the router's prediction log on disk."""
        return self.home / self.with_triton("spool")

    @property
    def triton(self) -> Path:
        """Root folder of staged releases, routes and Triton's model repository."""
        return self.home / self.with_triton("triton")


def _text(value: Any) -> str:
    """Format a setting as an environment variable. Paths become absolute, so the process may start in any folder."""
    if isinstance(value, tuple):
        return json.dumps(value)
    return str(value.absolute() if isinstance(value, Path) else value)

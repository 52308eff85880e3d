"""The address of a Redis online store, from the settings. Uses only the standard library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from driftloop.process.errors import ConfigError

_SCHEMES = {
    "redis": (False, False), "rediss": (False, True), "redis+cluster": (True, False), "rediss+cluster": (True, True),
}  # fmt: skip
"""Scheme: whether it is a cluster, whether it uses TLS."""
_SETTING = "DRIFTLOOP_ONLINE_URL"
_PORT = 6379


@dataclass(frozen=True, slots=True)
class OnlineAddress:
    """Where Redis listens, and how clients prove who they are. Has no password, only the file that holds it."""

    hosts: tuple[tuple[str, int], ...]
    """One host, or some nodes of a cluster."""
    is_cluster: bool = False
    uses_tls: bool = False
    user: str = ""
    db: int = 0
    password_file: str = ""
    ca_file: str = ""
    """PEM file with the authorities that sign the server's certificate; empty: those of the system."""

    @classmethod
    def parse(cls, url: str, password_file: str = "", ca_file: str = "") -> OnlineAddress:
        """Read ``redis://[user@]host[:port][/db]`` or ``redis+cluster://[user@]host[:port],host[:port]``.

        ``rediss`` in place of ``redis`` means TLS.

        Raises:
            ConfigError: the address is not one of these, or it has a password.
        """
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES:
            raise _invalid(f"starts with none of {', '.join(f'{scheme}://' for scheme in _SCHEMES)}")
        is_cluster, uses_tls = _SCHEMES[parts.scheme]
        user, _, hosts = parts.netloc.rpartition("@")
        if ":" in user:
            raise _invalid("has a password; write it to a file and set DRIFTLOOP_ONLINE_PASSWORD_FILE")
        if parts.query or parts.fragment:
            raise _invalid("has a query, which is not supported")
        addresses = tuple(_host(text) for text in hosts.split(","))
        if len(addresses) > 1 and not is_cluster:
            raise _invalid(f"has several hosts; write {parts.scheme}+cluster:// if they are nodes of a cluster")
        path = parts.path.strip("/")
        if path and (is_cluster or not path.isdecimal()):
            raise _invalid("has a path that is not the number of a database, or names one of a cluster")
        return cls(addresses, is_cluster, uses_tls, unquote(user), int(path or 0), password_file, ca_file)

    def password(self) -> str:
        """Return the password, or an empty string if no file is set.

        Raises:
            ConfigError: the file cannot be read.
        """
        if not self.password_file:
            return ""
        try:
            return Path(self.password_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = f"DRIFTLOOP_ONLINE_PASSWORD_FILE is {self.password_file!r}, which cannot be read"
            raise ConfigError(f"{problem} ({type(error).__name__}); give the path of a text file") from error


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(_PORT)
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise _invalid("needs host:port after ://, such as redis://cache.example:6379")
    return host, int(port)


def _invalid(problem: str) -> ConfigError:
    return ConfigError(f"{_SETTING} {problem}")

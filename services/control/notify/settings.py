"""Settings of notices."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from driftloop.process.errors import ConfigError
from driftloop.process.settings import Settings


class NotifySettings(Settings):
    """Where notices go, and how often they are retried. The control service's settings extend them."""

    notify_webhook_url: SecretStr = SecretStr("")
    """Address of the incoming webhook; empty notifies nobody. Anyone who knows it can post, so it is never shown."""
    notify_webhook_url_file: str = ""
    """File with the address, in place of the setting above."""
    notify_allow_http: bool = False
    """Allow http to a public host. Loopback and private hosts may always use http."""
    notify_timeout_s: float = Field(default=10.0, gt=0)
    """Longest wait for the webhook's connection, and then for its answer."""
    notify_poll_s: float = Field(default=1.0, gt=0)
    """Pause between checks for due notices."""
    notify_retry_first_s: float = Field(default=2.0, gt=0)
    """Pause after the first failure; it doubles with each."""
    notify_retry_longest_s: float = Field(default=900.0, gt=0)
    """Longest pause between attempts, unless the webhook asks for a longer one."""
    notify_attempts: int = Field(default=40, ge=1)
    """Attempts after which a notice is given up: with the pauses above, after four to eight hours."""
    notify_fresh_s: float = Field(default=3600.0, gt=0)
    """Age of an event, by wall time, above which nobody is notified."""
    notify_stuck_s: float = Field(default=1800.0, gt=0)
    """Wall time after which pending work makes a loop stuck."""

    def webhook_url(self) -> str:
        """Return the webhook's address; empty if none is set.

        Raises:
            ConfigError: both settings are given, or the file cannot be read or is empty.
        """
        url, path = self.notify_webhook_url.get_secret_value().strip(), self.notify_webhook_url_file
        if not path:
            return url
        if url:
            raise ConfigError(
                "DRIFTLOOP_NOTIFY_WEBHOOK_URL and DRIFTLOOP_NOTIFY_WEBHOOK_URL_FILE are both set; unset one"
            )
        return _read(path)


def _read(path: str) -> str:
    setting = f"DRIFTLOOP_NOTIFY_WEBHOOK_URL_FILE is {path!r}"
    try:
        url = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{setting}, which cannot be read ({type(error).__name__}); give the path of a text file"
        ) from error
    if not url:
        raise ConfigError(f"{setting}, which is empty; write the webhook's address into it")
    return url

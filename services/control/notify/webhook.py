"""Posts notices to an incoming webhook, as Slack, Mattermost and others understand it.

The body is ``{"text", "blocks", "notice"}``: a chat shows the first two, any other receiver reads the notice's fields
from the third. The address is a secret: everyone who has it can post. No log, error or row contains it.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import ssl
import urllib.parse
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from driftloop.events.envelope import rfc3339
from driftloop.process.clock import Clock
from driftloop.process.errors import ConfigError
from services.control.domain.notices import Notice
from services.control.notify.ports import Accepted, Answer, Refused, TryLater

_LONGEST_TITLE, _LONGEST_TEXT = 150, 2900
"""Characters. Slack takes 150 in a header and 3,000 in a section (Block Kit reference)."""
_LONGEST_PAUSE_S = 86_400.0
_AGAIN = frozenset({408, 425, 429})
_CODE = re.compile(r"[a-z][a-z_ ]{0,60}")
"""An error code as chats answer it, such as `no_service`. Anything else may echo the address."""
_HEADERS = {"Content-Type": "application/json", "User-Agent": "driftloop"}
_PRIVATE_NAMES = (".localhost", ".local", ".internal", ".svc")


class Webhook:
    """`services.control.notify.ports.Channel` over HTTP. A connection for each notice; no redirect is followed."""

    def __init__(self, url: str, timeout_s: float, clock: Clock, *, allow_http: bool = False) -> None:
        """Check the address, and ask nothing of it.

        Raises:
            ConfigError: a secret must not be sent to this address. The message gives the reason, not the address.
        """
        parsed = _parsed(url)
        host = parsed.hostname or ""
        if parsed.scheme != "https" and not (allow_http or is_private(host)):
            raise ConfigError(
                "the webhook's address is http to a public host, which shows it to everybody on the way; give an https "
                "one, or set DRIFTLOOP_NOTIFY_ALLOW_HTTP=true"
            )
        self._connect = _connector(parsed.scheme, host, parsed.port, timeout_s)
        self._target = urllib.parse.urlunsplit(("", "", parsed.path or "/", parsed.query, ""))
        self._clock = clock

    def send(self, notice: Notice) -> Answer:
        content = json.dumps(body(notice)).encode()
        connection = self._connect()
        try:
            connection.request("POST", self._target, content, _HEADERS)
            answer = connection.getresponse()
            said = answer.read1(200)
        except (OSError, http.client.HTTPException) as error:
            return TryLater(f"no answer: {_reason(error)}")
        finally:
            connection.close()
        return self._judge(answer, said)

    def _judge(self, answer: http.client.HTTPResponse, said: bytes) -> Answer:
        status = answer.status
        if 200 <= status < 300:
            return Accepted()
        code = said.decode(errors="replace").strip()
        problem = f"HTTP {status}: {code}" if _CODE.fullmatch(code) else f"HTTP {status}"
        if status in _AGAIN or status >= 500:
            return TryLater(problem, self._asked_pause_s(answer.getheader("Retry-After", "")))
        return Refused(problem)

    def _asked_pause_s(self, header: str) -> float | None:
        """``Retry-After`` (RFC 9110, section 10.2.3), a count of seconds or a date; None where it is neither."""
        if header.strip().isdecimal():
            return min(float(header), _LONGEST_PAUSE_S)
        try:
            moment = parsedate_to_datetime(header).replace(tzinfo=UTC)
        except ValueError:
            return None
        return min(max(0.0, moment.timestamp() - self._clock.now_ms() / 1000), _LONGEST_PAUSE_S)


def body(notice: Notice) -> dict[str, Any]:
    """What is posted."""
    title, text = _shown(notice.title, _LONGEST_TITLE), _shown(notice.text, _LONGEST_TEXT)
    about = f"{notice.kind} · {notice.loop} · {rfc3339(notice.time_ms)}"
    chain = f" · chain {notice.correlation_id}" if notice.correlation_id else ""
    return {
        "text": f"*{title}*\n{text}",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": notice.title[:_LONGEST_TITLE]}},
            {"type": "section", "text": {"type": "mrkdwn", "text": text}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": _shown(about + chain, _LONGEST_TEXT)}]},
        ],
        "notice": asdict(notice),
    }


def is_private(host: str) -> bool:
    """Whether a host is this machine or one of a private network, by its address or its name alone."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.lower().endswith(_PRIVATE_NAMES)
    return address.is_loopback or address.is_private


def _parsed(url: str) -> urllib.parse.SplitResult:
    wanted = "give one as https://HOST/PATH"
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"the webhook's address has a blank or another character that no address has; {wanted}")
    try:
        parsed = urllib.parse.urlsplit(url)
        whole = parsed.scheme in ("http", "https") and bool(parsed.hostname) and parsed.port != 0
    except ValueError:  # not chained: it may name the address
        whole = False
    if not whole:
        raise ConfigError(f"the webhook's address is no address; {wanted}")
    if parsed.username is not None:
        raise ConfigError(f"the webhook's address names a user, which is never sent; {wanted}")
    return parsed


def _connector(scheme: str, host: str, port: int | None, timeout_s: float) -> Callable[[], http.client.HTTPConnection]:
    if scheme == "http":
        return lambda: http.client.HTTPConnection(host, port, timeout=timeout_s)
    context = ssl.create_default_context()
    return lambda: http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)


def _reason(error: Exception) -> str:
    """An error without its own words, which may quote what was asked for."""
    meaning = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__} ({meaning})" if meaning else type(error).__name__


def _shown(words: str, longest: int) -> str:
    """Cut, and with the three characters escaped that Slack's markup gives a meaning."""
    return words[:longest].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

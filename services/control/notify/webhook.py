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
from driftloop.process.printable import printable
from services.control.domain.notices import Notice
from services.control.notify.ports import Accepted, Answer, Refused, TryLater

_MAX_TITLE, _MAX_TEXT = 150, 2900
"""Characters. Slack takes 150 in a header and 3,000 in a section (Block Kit reference)."""
_MAX_PAUSE_S = 86_400.0
_RETRY_STATUS = frozenset({408, 425, 429})
_CODE = re.compile(r"[a-z][a-z_ ]{0,60}")
"""An error code as chats answer it, such as `no_service`. Other texts may contain the address."""
_HEADERS = {"Content-Type": "application/json", "User-Agent": "driftloop"}
_PRIVATE_NAMES = (".localhost", ".local", ".internal", ".svc")


class Webhook:
    """`services.control.notify.ports.Channel` over HTTP. Opens a connection per notice and follows no redirects."""

    def __init__(self, url: str, timeout_s: float, clock: Clock, *, allow_http: bool = False) -> None:
        """Check the address without connecting.

        Raises:
            ConfigError: a secret must not be sent to this address. The message gives the reason, not the address.
        """
        parsed = _parsed(url)
        host = parsed.hostname or ""
        if parsed.scheme != "https" and not (allow_http or is_private(host)):
            raise ConfigError(
                "the webhook's address uses http to a public host, so anyone on the way can read it; use https, or "
                "set DRIFTLOOP_NOTIFY_ALLOW_HTTP=true"
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
            reply = answer.read1(200)
        except (OSError, http.client.HTTPException) as error:
            return TryLater(f"no answer: {_reason(error)}")
        finally:
            connection.close()
        return self._interpret(answer, reply)

    def _interpret(self, answer: http.client.HTTPResponse, reply: bytes) -> Answer:
        status = answer.status
        if 200 <= status < 300:
            return Accepted()
        code = reply.decode(errors="replace").strip()
        problem = f"HTTP {status}: {code}" if _CODE.fullmatch(code) else f"HTTP {status}"
        if status in _RETRY_STATUS or status >= 500:
            return TryLater(problem, self._requested_pause_s(answer.getheader("Retry-After", "")))
        return Refused(problem)

    def _requested_pause_s(self, header: str) -> float | None:
        """Return ``Retry-After`` (RFC 9110, section 10.2.3), a number of seconds or a date; None if it is neither."""
        if header.strip().isdecimal():
            return min(float(header), _MAX_PAUSE_S)
        try:
            moment = parsedate_to_datetime(header).replace(tzinfo=UTC)
        except ValueError:
            return None
        return min(max(0.0, moment.timestamp() - self._clock.now_ms() / 1000), _MAX_PAUSE_S)


def body(notice: Notice) -> dict[str, Any]:
    """Return the body to post, without terminal escapes: people may read it on a terminal."""
    fields: dict[str, Any] = asdict(notice)
    texts = {name: printable(value) for name, value in fields.items() if isinstance(value, str)}
    notice = Notice(**{**fields, **texts, "title": printable(notice.title, one_line=True)})
    title, text = _escape(notice.title, _MAX_TITLE), _escape(notice.text, _MAX_TEXT)
    about = f"{notice.kind} · {notice.loop} · {rfc3339(notice.time_ms)}"
    chain = f" · chain {notice.correlation_id}" if notice.correlation_id else ""
    return {
        "text": f"*{title}*\n{text}",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": notice.title[:_MAX_TITLE]}},
            {"type": "section", "text": {"type": "mrkdwn", "text": text}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": _escape(about + chain, _MAX_TEXT)}]},
        ],
        "notice": asdict(notice),
    }


def is_private(host: str) -> bool:
    """Return whether a host is this machine or in a private network, judging by its address or name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.lower().endswith(_PRIVATE_NAMES)
    return address.is_loopback or address.is_private


def _parsed(url: str) -> urllib.parse.SplitResult:
    advice = "write it as https://HOST/PATH"
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"the webhook's address has a space or another invalid character; {advice}")
    try:
        parsed = urllib.parse.urlsplit(url)
        valid = parsed.scheme in ("http", "https") and bool(parsed.hostname) and parsed.port != 0
    except ValueError:  # not chained: the error may contain the address
        valid = False
    if not valid:
        raise ConfigError(f"the webhook's address is not valid; {advice}")
    if parsed.username is not None:
        raise ConfigError(f"the webhook's address names a user, which is not supported; {advice}")
    return parsed


def _connector(scheme: str, host: str, port: int | None, timeout_s: float) -> Callable[[], http.client.HTTPConnection]:
    if scheme == "http":
        return lambda: http.client.HTTPConnection(host, port, timeout=timeout_s)
    context = ssl.create_default_context()
    return lambda: http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)


def _reason(error: Exception) -> str:
    """Describe an error without its message, which may quote the address."""
    meaning = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__} ({meaning})" if meaning else type(error).__name__


def _escape(text: str, length: int) -> str:
    """Cut the text, and escape the three characters with a meaning in Slack's markup."""
    return text[:length].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

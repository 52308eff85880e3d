from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from driftloop.process.errors import ConfigError
from services.control.notify.ports import Accepted, Answer, Refused, TryLater
from services.control.notify.webhook import Webhook, body, is_private
from tests.helpers.clock import FakeClock
from tests.helpers.ports import free_ports
from tests.unit.control.notify.events import notice, written
from tests.unit.control.notify.receiver import SECRET, Receiver, Reply, receiving

CLOCK = FakeClock(wall_ms=1_700_000_000_000)  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def send(receiver: Receiver, *replies: Reply, timeout_s: float = 30.0) -> Answer:
    receiver.replies += replies
    return Webhook(receiver.url, timeout_s, CLOCK).send(notice())


def test_a_notice_arrives_as_text_blocks_and_fields(receiver: Receiver) -> None:
    assert send(receiver) == Accepted()
    [got] = receiver.got
    assert receiver.paths == [SECRET]
    assert got == json.loads(json.dumps(body(notice())))
    assert got["text"] == "*orders: run-1*\nIt failed."
    assert [each["type"] for each in got["blocks"]] == ["header", "section", "context"]
    assert got["notice"]["notice_id"] == "n-1"
    assert got["notice"]["time_ms"] == 5


def test_the_query_of_an_address_is_kept(receiver: Receiver) -> None:
    assert Webhook(f"{receiver.url}?thread=7", 30.0, CLOCK).send(notice()) == Accepted()
    assert receiver.paths == [f"{SECRET}?thread=7"]


@pytest.mark.parametrize("status", [500, 502, 503, 408, 425])
def test_a_receiver_in_trouble_is_asked_again(receiver: Receiver, status: int) -> None:
    assert send(receiver, Reply(status)) == TryLater(f"HTTP {status}: ok")


@pytest.mark.parametrize(
    ("header", "after_s"),
    [
        ("17", 17.0),
        ("0", 0.0),
        ("999999999", 86_400.0),
        ("Tue, 14 Nov 2023 22:15:00 GMT", 100.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_the_pause_that_a_receiver_asks_for_is_read(receiver: Receiver, header: str, after_s: float | None) -> None:
    answer = send(receiver, Reply(429, {"Retry-After": header}, b"rate_limited"))
    assert answer == TryLater("HTTP 429: rate_limited", after_s)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 301, 307])
def test_what_a_receiver_refuses_is_not_sent_again_nor_elsewhere(receiver: Receiver, status: int) -> None:
    answer = send(receiver, Reply(status, {"Location": receiver.url}, b"no_service"))
    assert answer == Refused(f"HTTP {status}: no_service")
    assert len(receiver.got) == 1


def test_a_receiver_that_is_not_there_is_asked_again() -> None:
    [port] = free_ports(1)
    answer = Webhook(f"http://127.0.0.1:{port}{SECRET}", 30.0, CLOCK).send(notice())
    assert answer == TryLater("no answer: ConnectionRefusedError (Connection refused)")


def test_a_receiver_that_does_not_answer_is_waited_for_no_longer_than_allowed(receiver: Receiver) -> None:
    answer = send(receiver, Reply(held=True), timeout_s=0.05)
    assert answer == TryLater("no answer: TimeoutError")
    assert not receiver.enough.is_set()


def test_a_receiver_that_hangs_up_is_asked_again(receiver: Receiver) -> None:
    receiver.enough.set()
    assert send(receiver, Reply(held=True)) == TryLater("no answer: RemoteDisconnected")


@pytest.mark.parametrize("said", [f"Cannot POST {SECRET}".encode(), b"<html>", b"\xff\xfe", b"x" * 500])
def test_an_answer_that_may_echo_the_address_is_not_repeated(receiver: Receiver, said: bytes) -> None:
    assert send(receiver, Reply(404, content=said)) == Refused("HTTP 404")


def test_markup_in_somebody_elses_words_is_shown_as_it_is() -> None:
    told = body(written("training.run-failed.v1", detail="<!channel> a & b"))
    assert "&lt;!channel&gt; a &amp; b" in told["text"]
    assert "<!channel>" not in json.dumps(told["blocks"])
    assert "<!channel> a & b" in told["notice"]["text"]


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/x",
        "http://localhost:1/x",
        "http://[::1]/x",
        "http://10.1.2.3/x",
        "http://mattermost/x",
    ],
)
def test_an_address_that_keeps_the_secret_is_taken(url: str) -> None:
    Webhook(url, 1.0, CLOCK)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"http://hooks.example.com{SECRET}", "http to a public host"),
        (f"http://8.8.8.8{SECRET}", "http to a public host"),
        (f"ftp://localhost{SECRET}", "address is not valid"),
        (f"hooks.example.com{SECRET}", "address is not valid"),
        (f"https://{SECRET}", "address is not valid"),
        (f"https://localhost:99999{SECRET}", "address is not valid"),
        (f"https://[::1{SECRET}", "address is not valid"),
        (f"https://localhost/a b{SECRET}", "a space"),
        (f"https://localhost/a\r\nX: y{SECRET}", "a space"),
        (f"https://me:word@localhost{SECRET}", "names a user"),
    ],
)
def test_an_address_that_gives_the_secret_away_is_refused_and_not_shown(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        Webhook(url, 1.0, CLOCK)
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "secret" not in shown
    assert "word" not in shown


def test_http_to_a_public_host_can_be_allowed() -> None:
    Webhook("http://hooks.example.com/x", 1.0, CLOCK, allow_http=True)


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.3.4", True),
        ("fd00::1", True),
        ("chat", True),
        ("chat.tools.svc", True),
        ("CHAT.internal", True),
        ("example.com", False),
        ("1.1.1.1", False),
        ("10.0.0.1.example.com", False),
    ],
)
def test_hosts_are_told_apart_by_address_and_name(host: str, private: bool) -> None:
    assert is_private(host) is private


def test_a_webhook_does_not_show_its_address() -> None:
    assert "secret" not in repr(Webhook(f"https://hooks.example.com{SECRET}", 1.0, CLOCK))

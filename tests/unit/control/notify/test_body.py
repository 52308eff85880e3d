from __future__ import annotations

import json
from dataclasses import replace

from services.control.notify.webhook import body
from tests.unit.control.notify.events import notice


def test_text_of_people_and_events_is_posted_without_terminal_escapes() -> None:
    title = "orders:\x1b]0;owned\x07 \x1b[31mrun-1\x1b[0m\nfailed"
    sent = body(replace(notice(), title=title, text="line 1\nline 2 \x1b[2J\u202egnp.exe", episode="\x9b1mrun-1"))
    assert sent["notice"]["title"] == "orders: run-1 failed"
    assert sent["notice"]["text"] == "line 1\nline 2 gnp.exe"
    assert sent["text"] == "*orders: run-1 failed*\nline 1\nline 2 gnp.exe"
    assert "\\u001b" not in json.dumps(sent)
    assert "\\u202e" not in json.dumps(sent)

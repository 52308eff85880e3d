from __future__ import annotations

import threading
from pathlib import Path

import pytest

from driftloop.process.errors import ConfigError
from driftloop.process.settings import ROOT, Settings
from driftloop.runner.tables import open_database
from services.control.adapters.tables import metadata
from services.control.bootstrap import build_notifier
from services.control.notify import queue
from services.control.notify.settings import NotifySettings
from tests.helpers.clock import FakeClock
from tests.unit.control.notify.events import notice
from tests.unit.control.notify.receiver import receiving

URL = "https://hooks.example.com/very-secret"


def test_the_address_is_read_from_the_environment_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLOOP_NOTIFY_WEBHOOK_URL", f" {URL}\n")
    settings = NotifySettings()
    assert settings.webhook_url() == URL
    assert "secret" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_the_address_is_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{URL}\n")
    monkeypatch.setenv("DRIFTLOOP_NOTIFY_WEBHOOK_URL_FILE", str(tmp_path / "url"))
    assert NotifySettings().webhook_url() == URL


def test_no_address_disables_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert NotifySettings().webhook_url() == ""
    monkeypatch.setenv("DRIFTLOOP_NOTIFY_WEBHOOK_URL", "")
    monkeypatch.setenv("DRIFTLOOP_NOTIFY_WEBHOOK_URL_FILE", "")
    assert NotifySettings().webhook_url() == ""


@pytest.mark.parametrize(
    ("content", "why"), [(None, "cannot be read"), (b" \n", "is empty"), (b"\xff\xfe", "cannot be read")]
)
def test_a_file_without_an_address_is_refused(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=why):
        NotifySettings(notify_webhook_url_file=str(path)).webhook_url()


def test_two_addresses_are_refused(tmp_path: Path) -> None:
    settings = NotifySettings.model_validate({"notify_webhook_url": URL, "notify_webhook_url_file": str(tmp_path)})
    with pytest.raises(ConfigError, match="unset one") as caught:
        settings.webhook_url()
    assert "secret" not in str(caught.value)


def test_a_notifier_is_built_from_the_settings(tmp_path: Path) -> None:
    clock, engine = FakeClock(), open_database(f"sqlite:///{tmp_path / 'control.db'}", metadata)
    with receiving() as receiver:
        settings = NotifySettings.model_validate({"notify_webhook_url": receiver.url})
        with engine.begin() as connection:
            queue.put(connection, notice(1, clock.now_ms()), clock.now_ms())
        assert build_notifier(settings, engine, clock, threading.Event(), "a").drain() == 1
    assert build_notifier(NotifySettings(), engine, clock, threading.Event(), "a").drain() == 0
    engine.dispose()


def test_an_address_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    settings = NotifySettings.model_validate({"notify_webhook_url": "http://hooks.example.com/very-secret"})
    engine = open_database(f"sqlite:///{tmp_path / 'control.db'}", metadata)
    with pytest.raises(ConfigError, match="DRIFTLOOP_NOTIFY_ALLOW_HTTP=true"):
        build_notifier(settings, engine, FakeClock(), threading.Event(), "a")
    engine.dispose()


def test_every_setting_has_a_sentence() -> None:
    lines = (ROOT / "services" / "control" / "notify" / "settings.py").read_text().splitlines()
    for name in NotifySettings.model_fields.keys() - Settings.model_fields.keys():
        at = next(number for number, line in enumerate(lines) if line.startswith(f"    {name}:"))
        assert lines[at + 1].strip().startswith('"""'), name

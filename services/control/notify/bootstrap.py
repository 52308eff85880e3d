"""Wires the notifier."""

from __future__ import annotations

import threading

from sqlalchemy import Engine

from driftloop.process.clock import Clock
from services.control.notify.notifier import Notifier, Pace
from services.control.notify.queue import SqlNoticeQueue
from services.control.notify.settings import NotifySettings
from services.control.notify.webhook import Webhook


def build(settings: NotifySettings, engine: Engine, clock: Clock, stop: threading.Event) -> Notifier:
    """Build a notifier on a database with the queue's tables; without a webhook it notifies nobody.

    Raises:
        ConfigError: the webhook's address cannot be used.
    """
    url = settings.webhook_url()
    webhook = Webhook(url, settings.notify_timeout_s, clock, allow_http=settings.notify_allow_http) if url else None
    pace = Pace(
        settings.notify_poll_s, settings.notify_retry_first_s, settings.notify_retry_longest_s, settings.notify_attempts
    )
    return Notifier(SqlNoticeQueue(engine), webhook, clock, stop, pace, settings.seed)

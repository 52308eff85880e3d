"""Wires the control service."""

from __future__ import annotations

import threading

from sqlalchemy import Engine

from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_lifecycle import KafkaLifecycleProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.offsets import Offsets
from driftloop.bus.record_fetcher import RecordFetcher
from driftloop.events.event_log import LIFECYCLE
from driftloop.loop import load_loops
from driftloop.process.clock import Clock, SystemClock
from driftloop.runner.lease import Lease
from driftloop.runner.relay import Relay
from driftloop.runner.tables import open_database
from services.control.adapters.predictions import TOPIC, PredictionIndex
from services.control.adapters.reader import NAME, Reader
from services.control.adapters.store import EventStore
from services.control.adapters.tables import metadata
from services.control.api import ControlApi
from services.control.command_service import CommandService
from services.control.config import ControlSettings
from services.control.feed import Feed
from services.control.notify.notifier import Notifier, Pace
from services.control.notify.queue import SqlNoticeQueue
from services.control.notify.settings import NotifySettings
from services.control.notify.webhook import Webhook
from services.control.service import ControlService
from services.control.views import Views
from services.control.watch import Notices, StuckLoops
from services.control.web.answers import Answers
from services.control.web.plans import plan
from services.control.web.server import WebServer
from services.control.web.stream import Streams


def build(settings: ControlSettings, stop: threading.Event, lease: Lease) -> ControlService:
    """Build the service on Kafka and its own database.

    Raises:
        ConfigError: a loop's files are wrong, or the webhook's address is not valid.
    """
    clock, feed = SystemClock(), Feed()
    loops = load_loops(settings.loops_dir, settings.loops)
    engine = open_database(settings.database_url(NAME), metadata, fence=lease.check)
    kafka = KafkaSettings.of(settings, NAME)
    reader = Reader(
        engine,
        KafkaBatchConsumer(kafka, LIFECYCLE, NAME),
        KafkaBatchProducer(kafka),
        stop,
        settings.control_batch,
        Notices(clock, int(1000 * settings.notify_fresh_s)),
        feed.wake,
    )
    prediction_log = KafkaBatchConsumer(kafka, [TOPIC], f"{NAME}-predictions")
    oldest = Offsets(kafka).first(prediction_log.assignment())
    fetch = RecordFetcher(kafka, NAME)
    index = PredictionIndex(engine, prediction_log, fetch, oldest, stop)
    views = Views(EventStore(engine), index, {loop.name: loop.definition.description for loop in loops})
    stuck = StuckLoops(views, engine, clock, stop, int(1000 * settings.notify_stuck_s), reader.caught_up)
    notifier = build_notifier(settings, engine, clock, stop, lease.owner)
    commands = CommandService(views, engine, clock)
    answers = Answers(views, {loop.name: plan(loop.definition) for loop in loops})
    streams = Streams(views.store, feed, settings.control_pages)
    name, port = settings.control_http.rsplit(":", 1)
    producer = KafkaLifecycleProducer(kafka)
    return ControlService(
        servicer=ControlApi(
            views, reader, commands, feed, clock, settings.control_streams, settings.control_index_wait_s
        ),
        reader=reader,
        followers=[index.run, stuck.run, notifier.run],
        relay=Relay(NAME, engine, producer, clock),
        producer=producer,
        feed=feed,
        address=settings.control_grpc,
        page=WebServer(answers, commands, streams, reader.caught_up, settings.host, int(port), [name]),
        stop=stop,
    )


def build_notifier(
    settings: NotifySettings, engine: Engine, clock: Clock, stop: threading.Event, owner: str
) -> Notifier:
    """Build a notifier on a database with the queue's tables; without a webhook it notifies nobody."""
    url = settings.webhook_url()
    webhook = Webhook(url, settings.notify_timeout_s, clock, allow_http=settings.notify_allow_http) if url else None
    pace = Pace(
        settings.notify_poll_s, settings.notify_retry_first_s, settings.notify_retry_longest_s,
        settings.notify_attempts, claim_s=60 + 3 * settings.notify_timeout_s,
    )  # fmt: skip
    return Notifier(SqlNoticeQueue(engine, owner), webhook, clock, stop, pace, settings.seed)

"""Metrics of ingestion."""

from driftloop.process.telemetry import Counter, Gauge, Histogram

ACCEPTED = Counter("driftloop_ingestion_accepted", "Rows that passed the pipeline.", ("loop", "event_type"))
REJECTED = Counter(
    "driftloop_ingestion_rejected", "Records that became dead letters.", ("loop", "event_type", "reason")
)
DUPLICATES = Counter("driftloop_ingestion_duplicates", "Events that a producer sent again.", ("loop", "event_type"))
UNKNOWN_FIELDS = Counter(
    "driftloop_ingestion_unknown_fields",
    "Fields that the loop's message lacks and that were ignored, counted once per record.",
    ("loop", "event_type"),
)
TOPIC_PAUSED = Gauge(
    "driftloop_ingestion_topic_paused",
    "Whether the topic is not read for the loop, because of too many consecutive dead letters (0 or 1).",
    ("loop", "event_type"),
)
LOOP_REFUSED = Gauge(
    "driftloop_ingestion_loop_refused",
    "Whether ingestion left the loop out: its events no longer fit the lake, or a topic is gone (0 or 1).",
    ("loop",),
)
LATE = Counter(
    "driftloop_ingestion_late", "Accepted rows older than their partition's watermark.", ("loop", "event_type")
)
FAR_AHEAD = Gauge(
    "driftloop_ingestion_far_ahead",
    "Newest events of partitions whose watermark does not follow them yet, because they are too far ahead.",
    ("loop", "event_type"),
)
TOPICS_CREATED_AGAIN = Counter(
    "driftloop_ingestion_topics_created_again", "Raw topics found deleted and created again at a start.", ("topic",)
)
PROBES = Counter(
    "driftloop_ingestion_probes",
    "Probes that were answered: accepted or refused.",
    ("loop", "event_type", "verdict"),
)
WATERMARK_MS = Gauge(
    "driftloop_ingestion_watermark_ms", "The loop's watermark, in milliseconds of event time.", ("loop",)
)
LAG = Gauge("driftloop_ingestion_lag", "Raw records that were not read yet.", ("topic",))
BATCH_SECONDS = Histogram("driftloop_ingestion_batch_seconds", "Time to process and send a batch of records.", ())
FLUSH_SECONDS = Histogram("driftloop_ingestion_flush_seconds", "Time to bring the lake up to date.", ())
FLUSHED_ROWS = Counter(
    "driftloop_ingestion_flushed_rows", "Rows appended to the lake, rejected ones included.", ("loop",)
)

"""Sources of the stream feature views: the accepted rows of an event type, and the view's offline rows in the lake.

The features service can execute a view that has:

- ``tags={"loop": <loop>}``, ``timestamp_field="event_timestamp"``, and a name that no view of another loop has;
- a schema of its join keys (String or Int64) and its features. With ``aggregations`` (each a ``count`` or ``sum`` over
  a ``time_window``), the features are Float64 and have Feast's names (``Aggregation.resolved_name``). Without, the view
  stores the newest event of the entity, and the features (Float64 or String) are columns of that event;
- ``ttl=timedelta(0)``: a row is valid until the next one, because a new row is written whenever an event enters or
  leaves one of its windows. The watermark of the view tells how old its rows are.
"""

from __future__ import annotations

from feast import FileSource, KafkaSource
from feast.data_format import AvroFormat, DeltaFormat

EVENT_TIMESTAMP = "event_timestamp"
AVAILABLE_AT = "available_at"


def stream_source(loop: str, event_type: str, view: str) -> KafkaSource:
    """Return the accepted rows of an event type for one view, with the view's rows in the lake as its history."""
    return KafkaSource(
        name=f"{view}.stream",
        timestamp_field=EVENT_TIMESTAMP,
        created_timestamp_column=AVAILABLE_AT,
        batch_source=offline_source(loop, view),
        message_format=AvroFormat(""),
        topic="ingestion.rows-accepted.v1",
        tags={"loop": loop, "event_type": event_type},
        description="Columnar batches; the format is in driftloop/ingestion/v1/ingestion.proto",
    )


def offline_source(loop: str, view: str) -> FileSource:
    """Return a view's rows in the lake. The path is relative to the Feast repository, which is DRIFTLOOP_HOME."""
    return FileSource(
        name=view,
        path=f"lake/{loop}/views/{view}",
        file_format=DeltaFormat(),
        timestamp_field=EVENT_TIMESTAMP,
        created_timestamp_column=AVAILABLE_AT,
        tags={"loop": loop},
    )

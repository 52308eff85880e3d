"""Sources of the stream feature views: the accepted rows of an event type, and the view's offline rows in the lake.

What a view owes, so that the features service can execute it:

- ``tags={"loop": <loop>}``, ``timestamp_field="event_timestamp"``, and a name that no view of another loop bears;
- a schema of its join keys (String or Int64) and its features. With ``aggregations``, each a ``count`` or ``sum`` over
  a ``time_window``, the features are Float64 and named as Feast names them (``Aggregation.resolved_name``). With none,
  the view holds the entity's newest event, and the features (Float64 or String) are columns of it;
- ``ttl=timedelta(0)``: a row is right until the next one, as it is written again whenever an event enters or leaves one
  of its windows. How old a view may be is judged by its watermark.
"""

from __future__ import annotations

from feast import FileSource, KafkaSource
from feast.data_format import AvroFormat, DeltaFormat

EVENT_TIMESTAMP = "event_timestamp"
AVAILABLE_AT = "available_at"


def stream_source(loop: str, event_type: str, view: str) -> KafkaSource:
    """Accepted rows of an event type as one view reads them, with the view's rows in the lake for history."""
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
    """A view's rows in the lake; the path is relative to the Feast repository, which is DRIFTLOOP_HOME."""
    return FileSource(
        name=view,
        path=f"lake/{loop}/views/{view}",
        file_format=DeltaFormat(),
        timestamp_field=EVENT_TIMESTAMP,
        created_timestamp_column=AVAILABLE_AT,
        tags={"loop": loop},
    )

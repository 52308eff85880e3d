from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RowsAccepted(_message.Message):
    __slots__ = ("loop", "event_type", "entities", "num_rows", "rows")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    NUM_ROWS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    loop: str
    event_type: str
    entities: _containers.RepeatedCompositeFieldContainer[EntityRows]
    num_rows: int
    rows: bytes
    def __init__(self, loop: _Optional[str] = ..., event_type: _Optional[str] = ..., entities: _Optional[_Iterable[_Union[EntityRows, _Mapping]]] = ..., num_rows: _Optional[int] = ..., rows: _Optional[bytes] = ...) -> None: ...

class EntityRows(_message.Message):
    __slots__ = ("join_keys", "positions")
    JOIN_KEYS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    join_keys: _containers.RepeatedScalarFieldContainer[str]
    positions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, join_keys: _Optional[_Iterable[str]] = ..., positions: _Optional[_Iterable[int]] = ...) -> None: ...

class OutcomesAccepted(_message.Message):
    __slots__ = ("loop", "event_type", "num_rows", "rows")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    NUM_ROWS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    loop: str
    event_type: str
    num_rows: int
    rows: bytes
    def __init__(self, loop: _Optional[str] = ..., event_type: _Optional[str] = ..., num_rows: _Optional[int] = ..., rows: _Optional[bytes] = ...) -> None: ...

class WatermarkAdvanced(_message.Message):
    __slots__ = ("loop", "watermark_ms", "sequence")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_MS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    loop: str
    watermark_ms: int
    sequence: int
    def __init__(self, loop: _Optional[str] = ..., watermark_ms: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class OutcomeWatermark(_message.Message):
    __slots__ = ("loop", "watermark_ms", "sequence")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_MS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    loop: str
    watermark_ms: int
    sequence: int
    def __init__(self, loop: _Optional[str] = ..., watermark_ms: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class LakeFlushed(_message.Message):
    __slots__ = ("loop", "watermark_ms", "tables")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_MS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    loop: str
    watermark_ms: int
    tables: _containers.RepeatedCompositeFieldContainer[TableVersion]
    def __init__(self, loop: _Optional[str] = ..., watermark_ms: _Optional[int] = ..., tables: _Optional[_Iterable[_Union[TableVersion, _Mapping]]] = ...) -> None: ...

class TableVersion(_message.Message):
    __slots__ = ("name", "path", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    version: int
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class ProbeJudged(_message.Message):
    __slots__ = ("loop", "event_type", "probe_id", "accepted", "reason", "detail")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROBE_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    loop: str
    event_type: str
    probe_id: str
    accepted: bool
    reason: str
    detail: str
    def __init__(self, loop: _Optional[str] = ..., event_type: _Optional[str] = ..., probe_id: _Optional[str] = ..., accepted: _Optional[bool] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class TopicPaused(_message.Message):
    __slots__ = ("loop", "event_type", "reason", "detail", "dead_letters", "partition", "offset")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    loop: str
    event_type: str
    reason: str
    detail: str
    dead_letters: int
    partition: int
    offset: int
    def __init__(self, loop: _Optional[str] = ..., event_type: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., dead_letters: _Optional[int] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class TopicResumed(_message.Message):
    __slots__ = ("loop", "event_type", "because")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    loop: str
    event_type: str
    because: str
    def __init__(self, loop: _Optional[str] = ..., event_type: _Optional[str] = ..., because: _Optional[str] = ...) -> None: ...

from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatermarkAdvanced(_message.Message):
    __slots__ = ("loop", "watermark_ms", "rows_written", "late_events")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_MS_FIELD_NUMBER: _ClassVar[int]
    ROWS_WRITTEN_FIELD_NUMBER: _ClassVar[int]
    LATE_EVENTS_FIELD_NUMBER: _ClassVar[int]
    loop: str
    watermark_ms: int
    rows_written: int
    late_events: int
    def __init__(self, loop: _Optional[str] = ..., watermark_ms: _Optional[int] = ..., rows_written: _Optional[int] = ..., late_events: _Optional[int] = ...) -> None: ...

class OfflineFlushed(_message.Message):
    __slots__ = ("loop", "watermark_ms", "views")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_MS_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    loop: str
    watermark_ms: int
    views: _containers.RepeatedCompositeFieldContainer[ViewVersion]
    def __init__(self, loop: _Optional[str] = ..., watermark_ms: _Optional[int] = ..., views: _Optional[_Iterable[_Union[ViewVersion, _Mapping]]] = ...) -> None: ...

class ViewVersion(_message.Message):
    __slots__ = ("view", "path", "version")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    view: str
    path: str
    version: int
    def __init__(self, view: _Optional[str] = ..., path: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

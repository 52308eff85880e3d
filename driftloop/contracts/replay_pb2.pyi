from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class StepAsked(_message.Message):
    __slots__ = ("loop", "watermark_ms", "asked", "failed")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_MS_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    loop: str
    watermark_ms: int
    asked: int
    failed: int
    def __init__(self, loop: _Optional[str] = ..., watermark_ms: _Optional[int] = ..., asked: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

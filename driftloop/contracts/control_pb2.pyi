from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Approve(_message.Message):
    __slots__ = ("loop", "release_id", "who", "why")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    loop: str
    release_id: str
    who: str
    why: str
    def __init__(self, loop: _Optional[str] = ..., release_id: _Optional[str] = ..., who: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class Reject(_message.Message):
    __slots__ = ("loop", "release_id", "who", "why")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    loop: str
    release_id: str
    who: str
    why: str
    def __init__(self, loop: _Optional[str] = ..., release_id: _Optional[str] = ..., who: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class Rollback(_message.Message):
    __slots__ = ("loop", "who", "why")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    loop: str
    who: str
    why: str
    def __init__(self, loop: _Optional[str] = ..., who: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class Retrain(_message.Message):
    __slots__ = ("loop", "who", "why")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    loop: str
    who: str
    why: str
    def __init__(self, loop: _Optional[str] = ..., who: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("loop", "who", "why")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    loop: str
    who: str
    why: str
    def __init__(self, loop: _Optional[str] = ..., who: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class Resume(_message.Message):
    __slots__ = ("loop", "who", "why")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    loop: str
    who: str
    why: str
    def __init__(self, loop: _Optional[str] = ..., who: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

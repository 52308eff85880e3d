from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

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

class Import(_message.Message):
    __slots__ = ("loop", "who", "why", "model")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    loop: str
    who: str
    why: str
    model: ImportedModel
    def __init__(self, loop: _Optional[str] = ..., who: _Optional[str] = ..., why: _Optional[str] = ..., model: _Optional[_Union[ImportedModel, _Mapping]] = ...) -> None: ...

class ImportedModel(_message.Message):
    __slots__ = ("uri", "sha256", "source", "inputs", "output", "score_columns", "link")
    URI_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    uri: str
    sha256: str
    source: str
    inputs: _containers.RepeatedCompositeFieldContainer[ImportedInput]
    output: str
    score_columns: _containers.RepeatedScalarFieldContainer[int]
    link: str
    def __init__(self, uri: _Optional[str] = ..., sha256: _Optional[str] = ..., source: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[ImportedInput, _Mapping]]] = ..., output: _Optional[str] = ..., score_columns: _Optional[_Iterable[int]] = ..., link: _Optional[str] = ...) -> None: ...

class ImportedInput(_message.Message):
    __slots__ = ("name", "columns")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    name: str
    columns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., columns: _Optional[_Iterable[str]] = ...) -> None: ...

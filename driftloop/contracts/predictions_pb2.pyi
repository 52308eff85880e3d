from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    CLIENT: _ClassVar[Purpose]
    PROBE: _ClassVar[Purpose]
PURPOSE_UNSPECIFIED: Purpose
CLIENT: Purpose
PROBE: Purpose

class ReleaseScore(_message.Message):
    __slots__ = ("release_id", "role", "score", "class_scores")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    CLASS_SCORES_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    role: str
    score: float
    class_scores: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, release_id: _Optional[str] = ..., role: _Optional[str] = ..., score: _Optional[float] = ..., class_scores: _Optional[_Iterable[float]] = ...) -> None: ...

class InputValue(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class PredictionServed(_message.Message):
    __slots__ = ("loop", "prediction_id", "key", "decision_time_ms", "release_id", "arm", "score", "scores", "input_digest", "numeric", "categorical", "feature_watermark_ms", "route_epoch", "served_wall_time_ms", "purpose", "stale_views", "slice_inputs")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DECISION_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    INPUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NUMERIC_FIELD_NUMBER: _ClassVar[int]
    CATEGORICAL_FIELD_NUMBER: _ClassVar[int]
    FEATURE_WATERMARK_MS_FIELD_NUMBER: _ClassVar[int]
    ROUTE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    SERVED_WALL_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    STALE_VIEWS_FIELD_NUMBER: _ClassVar[int]
    SLICE_INPUTS_FIELD_NUMBER: _ClassVar[int]
    loop: str
    prediction_id: str
    key: str
    decision_time_ms: int
    release_id: str
    arm: str
    score: float
    scores: _containers.RepeatedCompositeFieldContainer[ReleaseScore]
    input_digest: str
    numeric: _containers.RepeatedScalarFieldContainer[float]
    categorical: _containers.RepeatedScalarFieldContainer[str]
    feature_watermark_ms: int
    route_epoch: int
    served_wall_time_ms: int
    purpose: Purpose
    stale_views: _containers.RepeatedScalarFieldContainer[str]
    slice_inputs: _containers.RepeatedCompositeFieldContainer[InputValue]
    def __init__(self, loop: _Optional[str] = ..., prediction_id: _Optional[str] = ..., key: _Optional[str] = ..., decision_time_ms: _Optional[int] = ..., release_id: _Optional[str] = ..., arm: _Optional[str] = ..., score: _Optional[float] = ..., scores: _Optional[_Iterable[_Union[ReleaseScore, _Mapping]]] = ..., input_digest: _Optional[str] = ..., numeric: _Optional[_Iterable[float]] = ..., categorical: _Optional[_Iterable[str]] = ..., feature_watermark_ms: _Optional[int] = ..., route_epoch: _Optional[int] = ..., served_wall_time_ms: _Optional[int] = ..., purpose: _Optional[_Union[Purpose, str]] = ..., stale_views: _Optional[_Iterable[str]] = ..., slice_inputs: _Optional[_Iterable[_Union[InputValue, _Mapping]]] = ...) -> None: ...

class PredictionWatermark(_message.Message):
    __slots__ = ("loop", "watermark_ms", "writer", "start")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_MS_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    loop: str
    watermark_ms: int
    writer: str
    start: int
    def __init__(self, loop: _Optional[str] = ..., watermark_ms: _Optional[int] = ..., writer: _Optional[str] = ..., start: _Optional[int] = ...) -> None: ...

class WriterJoined(_message.Message):
    __slots__ = ("loop", "writer", "start")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    loop: str
    writer: str
    start: int
    def __init__(self, loop: _Optional[str] = ..., writer: _Optional[str] = ..., start: _Optional[int] = ...) -> None: ...

class WriterLeft(_message.Message):
    __slots__ = ("loop", "writer", "start")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    loop: str
    writer: str
    start: int
    def __init__(self, loop: _Optional[str] = ..., writer: _Optional[str] = ..., start: _Optional[int] = ...) -> None: ...

class GiveUp(_message.Message):
    __slots__ = ("loop", "writer", "start", "because", "who", "why")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    loop: str
    writer: str
    start: int
    because: str
    who: str
    why: str
    def __init__(self, loop: _Optional[str] = ..., writer: _Optional[str] = ..., start: _Optional[int] = ..., because: _Optional[str] = ..., who: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class GiveUpAsked(_message.Message):
    __slots__ = ("loop", "writer", "who", "why")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    loop: str
    writer: str
    who: str
    why: str
    def __init__(self, loop: _Optional[str] = ..., writer: _Optional[str] = ..., who: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

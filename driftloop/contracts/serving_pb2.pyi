from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class RouteConverged(_message.Message):
    __slots__ = ("loop", "epoch", "champion_release_id", "challenger_release_id", "probe_prediction_id", "duration_s")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CHALLENGER_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    PROBE_PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    loop: str
    epoch: int
    champion_release_id: str
    challenger_release_id: str
    probe_prediction_id: str
    duration_s: float
    def __init__(self, loop: _Optional[str] = ..., epoch: _Optional[int] = ..., champion_release_id: _Optional[str] = ..., challenger_release_id: _Optional[str] = ..., probe_prediction_id: _Optional[str] = ..., duration_s: _Optional[float] = ...) -> None: ...

class RouteFailed(_message.Message):
    __slots__ = ("loop", "epoch", "release_id", "reason")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    loop: str
    epoch: int
    release_id: str
    reason: str
    def __init__(self, loop: _Optional[str] = ..., epoch: _Optional[int] = ..., release_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RouteReported(_message.Message):
    __slots__ = ("loop", "epoch", "triton", "serves", "champion_release_id", "challenger_release_id", "probe_prediction_id", "duration_s", "release_id", "reason")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TRITON_FIELD_NUMBER: _ClassVar[int]
    SERVES_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CHALLENGER_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    PROBE_PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    loop: str
    epoch: int
    triton: str
    serves: bool
    champion_release_id: str
    challenger_release_id: str
    probe_prediction_id: str
    duration_s: float
    release_id: str
    reason: str
    def __init__(self, loop: _Optional[str] = ..., epoch: _Optional[int] = ..., triton: _Optional[str] = ..., serves: _Optional[bool] = ..., champion_release_id: _Optional[str] = ..., challenger_release_id: _Optional[str] = ..., probe_prediction_id: _Optional[str] = ..., duration_s: _Optional[float] = ..., release_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

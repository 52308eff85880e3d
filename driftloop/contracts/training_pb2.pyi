from driftloop.contracts import control_pb2 as _control_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reason(_message.Message):
    __slots__ = ("kind", "event_id", "event_time_ms", "detail")
    KIND_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    kind: str
    event_id: str
    event_time_ms: int
    detail: str
    def __init__(self, kind: _Optional[str] = ..., event_id: _Optional[str] = ..., event_time_ms: _Optional[int] = ..., detail: _Optional[str] = ...) -> None: ...

class ReasonCoalesced(_message.Message):
    __slots__ = ("loop", "reason", "because", "blocked_by")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_BY_FIELD_NUMBER: _ClassVar[int]
    loop: str
    reason: Reason
    because: str
    blocked_by: str
    def __init__(self, loop: _Optional[str] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ..., because: _Optional[str] = ..., blocked_by: _Optional[str] = ...) -> None: ...

class RetrainRequested(_message.Message):
    __slots__ = ("loop", "request_id", "reasons", "window_start_ms", "window_end_ms", "seed", "evidence_ids", "model", "failures", "breaker")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_MS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_END_MS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_IDS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    loop: str
    request_id: str
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    window_start_ms: int
    window_end_ms: int
    seed: int
    evidence_ids: _containers.RepeatedScalarFieldContainer[str]
    model: _control_pb2.ImportedModel
    failures: int
    breaker: int
    def __init__(self, loop: _Optional[str] = ..., request_id: _Optional[str] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., window_start_ms: _Optional[int] = ..., window_end_ms: _Optional[int] = ..., seed: _Optional[int] = ..., evidence_ids: _Optional[_Iterable[str]] = ..., model: _Optional[_Union[_control_pb2.ImportedModel, _Mapping]] = ..., failures: _Optional[int] = ..., breaker: _Optional[int] = ...) -> None: ...

class RunStarted(_message.Message):
    __slots__ = ("loop", "request_id", "run_id", "lake_versions", "view_versions")
    class LakeVersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ViewVersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    LOOP_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    LAKE_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    VIEW_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    loop: str
    request_id: str
    run_id: str
    lake_versions: _containers.ScalarMap[str, int]
    view_versions: _containers.ScalarMap[str, int]
    def __init__(self, loop: _Optional[str] = ..., request_id: _Optional[str] = ..., run_id: _Optional[str] = ..., lake_versions: _Optional[_Mapping[str, int]] = ..., view_versions: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Bundle(_message.Message):
    __slots__ = ("uri", "digest")
    URI_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    uri: str
    digest: str
    def __init__(self, uri: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class CandidateTrained(_message.Message):
    __slots__ = ("loop", "request_id", "run_id", "mlflow_run_id", "bundle", "training_rows", "metrics", "duration_s", "holdout_uri", "reasons")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    LOOP_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MLFLOW_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    TRAINING_ROWS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_URI_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    loop: str
    request_id: str
    run_id: str
    mlflow_run_id: str
    bundle: Bundle
    training_rows: int
    metrics: _containers.ScalarMap[str, float]
    duration_s: float
    holdout_uri: str
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, loop: _Optional[str] = ..., request_id: _Optional[str] = ..., run_id: _Optional[str] = ..., mlflow_run_id: _Optional[str] = ..., bundle: _Optional[_Union[Bundle, _Mapping]] = ..., training_rows: _Optional[int] = ..., metrics: _Optional[_Mapping[str, float]] = ..., duration_s: _Optional[float] = ..., holdout_uri: _Optional[str] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class RunFailed(_message.Message):
    __slots__ = ("loop", "request_id", "run_id", "reason", "detail")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    loop: str
    request_id: str
    run_id: str
    reason: str
    detail: str
    def __init__(self, loop: _Optional[str] = ..., request_id: _Optional[str] = ..., run_id: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

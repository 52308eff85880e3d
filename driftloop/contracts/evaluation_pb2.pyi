from driftloop.contracts import training_pb2 as _training_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    BETTER: _ClassVar[Outcome]
    WORSE: _ClassVar[Outcome]
    NOT_KNOWN_YET: _ClassVar[Outcome]
OUTCOME_UNSPECIFIED: Outcome
BETTER: Outcome
WORSE: Outcome
NOT_KNOWN_YET: Outcome

class Interval(_message.Message):
    __slots__ = ("estimate", "lower", "upper", "level", "blocks", "rows", "resamples")
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    RESAMPLES_FIELD_NUMBER: _ClassVar[int]
    estimate: float
    lower: float
    upper: float
    level: float
    blocks: int
    rows: int
    resamples: int
    def __init__(self, estimate: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ..., level: _Optional[float] = ..., blocks: _Optional[int] = ..., rows: _Optional[int] = ..., resamples: _Optional[int] = ...) -> None: ...

class VerdictReached(_message.Message):
    __slots__ = ("loop", "verdict_id", "stage", "release_id", "champion_release_id", "outcome", "interval", "margin", "reasons", "limit_reached", "evidence_ids", "request_id", "run_id", "bundle", "metrics", "slices", "window_end_ms", "step")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    LOOP_FIELD_NUMBER: _ClassVar[int]
    VERDICT_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_REACHED_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_IDS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_END_MS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    loop: str
    verdict_id: str
    stage: str
    release_id: str
    champion_release_id: str
    outcome: Outcome
    interval: Interval
    margin: float
    reasons: _containers.RepeatedScalarFieldContainer[str]
    limit_reached: bool
    evidence_ids: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    run_id: str
    bundle: _training_pb2.Bundle
    metrics: _containers.ScalarMap[str, float]
    slices: _containers.RepeatedCompositeFieldContainer[Slice]
    window_end_ms: int
    step: int
    def __init__(self, loop: _Optional[str] = ..., verdict_id: _Optional[str] = ..., stage: _Optional[str] = ..., release_id: _Optional[str] = ..., champion_release_id: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., interval: _Optional[_Union[Interval, _Mapping]] = ..., margin: _Optional[float] = ..., reasons: _Optional[_Iterable[str]] = ..., limit_reached: _Optional[bool] = ..., evidence_ids: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ..., run_id: _Optional[str] = ..., bundle: _Optional[_Union[_training_pb2.Bundle, _Mapping]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., slices: _Optional[_Iterable[_Union[Slice, _Mapping]]] = ..., window_end_ms: _Optional[int] = ..., step: _Optional[int] = ...) -> None: ...

class Slice(_message.Message):
    __slots__ = ("name", "interval")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    interval: Interval
    def __init__(self, name: _Optional[str] = ..., interval: _Optional[_Union[Interval, _Mapping]] = ...) -> None: ...

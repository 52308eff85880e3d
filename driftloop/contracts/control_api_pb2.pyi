import datetime

from driftloop.contracts import control_pb2 as _control_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListLoopsRequest(_message.Message):
    __slots__ = ("loop",)
    LOOP_FIELD_NUMBER: _ClassVar[int]
    loop: str
    def __init__(self, loop: _Optional[str] = ...) -> None: ...

class ListLoopsResponse(_message.Message):
    __slots__ = ("loops",)
    LOOPS_FIELD_NUMBER: _ClassVar[int]
    loops: _containers.RepeatedCompositeFieldContainer[Loop]
    def __init__(self, loops: _Optional[_Iterable[_Union[Loop, _Mapping]]] = ...) -> None: ...

class Loop(_message.Message):
    __slots__ = ("name", "description", "champion", "champion_since", "epoch", "converged_epoch", "challenger", "stage", "share", "paused", "approval", "last_verdict", "last_alarm", "last_alarm_time", "event_time", "open", "next", "former", "kept", "failures", "breaker_open", "last_failure", "notes", "paused_topics")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_SINCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CONVERGED_EPOCH_FIELD_NUMBER: _ClassVar[int]
    CHALLENGER_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    LAST_VERDICT_FIELD_NUMBER: _ClassVar[int]
    LAST_ALARM_FIELD_NUMBER: _ClassVar[int]
    LAST_ALARM_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    FORMER_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    BREAKER_OPEN_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILURE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    PAUSED_TOPICS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    champion: str
    champion_since: _timestamp_pb2.Timestamp
    epoch: int
    converged_epoch: int
    challenger: str
    stage: str
    share: float
    paused: bool
    approval: Approval
    last_verdict: str
    last_alarm: str
    last_alarm_time: _timestamp_pb2.Timestamp
    event_time: _timestamp_pb2.Timestamp
    open: _containers.RepeatedScalarFieldContainer[str]
    next: str
    former: _containers.RepeatedScalarFieldContainer[str]
    kept: _containers.RepeatedCompositeFieldContainer[KeptReason]
    failures: int
    breaker_open: bool
    last_failure: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    paused_topics: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., champion: _Optional[str] = ..., champion_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., epoch: _Optional[int] = ..., converged_epoch: _Optional[int] = ..., challenger: _Optional[str] = ..., stage: _Optional[str] = ..., share: _Optional[float] = ..., paused: _Optional[bool] = ..., approval: _Optional[_Union[Approval, _Mapping]] = ..., last_verdict: _Optional[str] = ..., last_alarm: _Optional[str] = ..., last_alarm_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., open: _Optional[_Iterable[str]] = ..., next: _Optional[str] = ..., former: _Optional[_Iterable[str]] = ..., kept: _Optional[_Iterable[_Union[KeptReason, _Mapping]]] = ..., failures: _Optional[int] = ..., breaker_open: _Optional[bool] = ..., last_failure: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ..., paused_topics: _Optional[_Iterable[str]] = ...) -> None: ...

class KeptReason(_message.Message):
    __slots__ = ("kind", "detail", "because", "since", "event_id")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    kind: str
    detail: str
    because: str
    since: _timestamp_pb2.Timestamp
    event_id: str
    def __init__(self, kind: _Optional[str] = ..., detail: _Optional[str] = ..., because: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., event_id: _Optional[str] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("loop", "release_id", "to_stage", "deadline", "event_id")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TO_STAGE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    loop: str
    release_id: str
    to_stage: str
    deadline: _timestamp_pb2.Timestamp
    event_id: str
    def __init__(self, loop: _Optional[str] = ..., release_id: _Optional[str] = ..., to_stage: _Optional[str] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., event_id: _Optional[str] = ...) -> None: ...

class ListApprovalsRequest(_message.Message):
    __slots__ = ("loop",)
    LOOP_FIELD_NUMBER: _ClassVar[int]
    loop: str
    def __init__(self, loop: _Optional[str] = ...) -> None: ...

class ListApprovalsResponse(_message.Message):
    __slots__ = ("approvals",)
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    def __init__(self, approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ...) -> None: ...

class ListReleasesRequest(_message.Message):
    __slots__ = ("loop",)
    LOOP_FIELD_NUMBER: _ClassVar[int]
    loop: str
    def __init__(self, loop: _Optional[str] = ...) -> None: ...

class ListReleasesResponse(_message.Message):
    __slots__ = ("releases",)
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    releases: _containers.RepeatedCompositeFieldContainer[Release]
    def __init__(self, releases: _Optional[_Iterable[_Union[Release, _Mapping]]] = ...) -> None: ...

class GetReleaseRequest(_message.Message):
    __slots__ = ("release_id",)
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    def __init__(self, release_id: _Optional[str] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("release_id", "loop", "stage", "stages", "verdicts", "run_id", "request_id", "bundle_uri", "bundle_digest", "correlation_id", "ended_because")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    LOOP_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_URI_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ENDED_BECAUSE_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    loop: str
    stage: str
    stages: _containers.RepeatedCompositeFieldContainer[Stage]
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    run_id: str
    request_id: str
    bundle_uri: str
    bundle_digest: str
    correlation_id: str
    ended_because: str
    def __init__(self, release_id: _Optional[str] = ..., loop: _Optional[str] = ..., stage: _Optional[str] = ..., stages: _Optional[_Iterable[_Union[Stage, _Mapping]]] = ..., verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ..., run_id: _Optional[str] = ..., request_id: _Optional[str] = ..., bundle_uri: _Optional[str] = ..., bundle_digest: _Optional[str] = ..., correlation_id: _Optional[str] = ..., ended_because: _Optional[str] = ...) -> None: ...

class Stage(_message.Message):
    __slots__ = ("stage", "share", "epoch", "since", "because", "event_id")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    stage: str
    share: float
    epoch: int
    since: _timestamp_pb2.Timestamp
    because: str
    event_id: str
    def __init__(self, stage: _Optional[str] = ..., share: _Optional[float] = ..., epoch: _Optional[int] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., because: _Optional[str] = ..., event_id: _Optional[str] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("stage", "outcome", "estimate", "lower", "upper", "level", "blocks", "margin", "limit_reached", "reasons", "time", "event_id", "glyph")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    LIMIT_REACHED_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    GLYPH_FIELD_NUMBER: _ClassVar[int]
    stage: str
    outcome: str
    estimate: float
    lower: float
    upper: float
    level: float
    blocks: int
    margin: float
    limit_reached: bool
    reasons: _containers.RepeatedScalarFieldContainer[str]
    time: _timestamp_pb2.Timestamp
    event_id: str
    glyph: str
    def __init__(self, stage: _Optional[str] = ..., outcome: _Optional[str] = ..., estimate: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ..., level: _Optional[float] = ..., blocks: _Optional[int] = ..., margin: _Optional[float] = ..., limit_reached: _Optional[bool] = ..., reasons: _Optional[_Iterable[str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., event_id: _Optional[str] = ..., glyph: _Optional[str] = ...) -> None: ...

class ListWindowsRequest(_message.Message):
    __slots__ = ("loop", "newest")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    loop: str
    newest: int
    def __init__(self, loop: _Optional[str] = ..., newest: _Optional[int] = ...) -> None: ...

class ListWindowsResponse(_message.Message):
    __slots__ = ("windows",)
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    windows: _containers.RepeatedCompositeFieldContainer[Window]
    def __init__(self, windows: _Optional[_Iterable[_Union[Window, _Mapping]]] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("window_id", "event_id", "start", "end", "releases", "predictions", "joined", "late", "missing", "champion", "psi")
    class PsiEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_FIELD_NUMBER: _ClassVar[int]
    PSI_FIELD_NUMBER: _ClassVar[int]
    window_id: str
    event_id: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    releases: _containers.RepeatedCompositeFieldContainer[WindowRelease]
    predictions: int
    joined: int
    late: int
    missing: int
    champion: str
    psi: _containers.ScalarMap[str, float]
    def __init__(self, window_id: _Optional[str] = ..., event_id: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., releases: _Optional[_Iterable[_Union[WindowRelease, _Mapping]]] = ..., predictions: _Optional[int] = ..., joined: _Optional[int] = ..., late: _Optional[int] = ..., missing: _Optional[int] = ..., champion: _Optional[str] = ..., psi: _Optional[_Mapping[str, float]] = ...) -> None: ...

class WindowRelease(_message.Message):
    __slots__ = ("release_id", "role", "count", "loss", "score", "outcome", "answered")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    role: str
    count: int
    loss: float
    score: float
    outcome: float
    answered: int
    def __init__(self, release_id: _Optional[str] = ..., role: _Optional[str] = ..., count: _Optional[int] = ..., loss: _Optional[float] = ..., score: _Optional[float] = ..., outcome: _Optional[float] = ..., answered: _Optional[int] = ...) -> None: ...

class GetEventRequest(_message.Message):
    __slots__ = ("event_id",)
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    def __init__(self, event_id: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("id", "type", "loop", "time", "wall_time", "correlation_id", "causation_id", "source", "line", "evidence_ids", "payload", "position", "kind", "outcome", "stage", "severity", "glyph", "title", "label", "sublabel", "notable")
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    LOOP_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    WALL_TIME_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_IDS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    GLYPH_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SUBLABEL_FIELD_NUMBER: _ClassVar[int]
    NOTABLE_FIELD_NUMBER: _ClassVar[int]
    id: str
    type: str
    loop: str
    time: _timestamp_pb2.Timestamp
    wall_time: _timestamp_pb2.Timestamp
    correlation_id: str
    causation_id: str
    source: str
    line: str
    evidence_ids: _containers.RepeatedScalarFieldContainer[str]
    payload: _struct_pb2.Struct
    position: int
    kind: str
    outcome: str
    stage: str
    severity: str
    glyph: str
    title: str
    label: str
    sublabel: str
    notable: bool
    def __init__(self, id: _Optional[str] = ..., type: _Optional[str] = ..., loop: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., wall_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., source: _Optional[str] = ..., line: _Optional[str] = ..., evidence_ids: _Optional[_Iterable[str]] = ..., payload: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., position: _Optional[int] = ..., kind: _Optional[str] = ..., outcome: _Optional[str] = ..., stage: _Optional[str] = ..., severity: _Optional[str] = ..., glyph: _Optional[str] = ..., title: _Optional[str] = ..., label: _Optional[str] = ..., sublabel: _Optional[str] = ..., notable: _Optional[bool] = ...) -> None: ...

class StreamTimelineRequest(_message.Message):
    __slots__ = ("loop", "correlation_id", "follow", "after", "all", "newest", "payload")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    loop: str
    correlation_id: str
    follow: bool
    after: int
    all: bool
    newest: int
    payload: bool
    def __init__(self, loop: _Optional[str] = ..., correlation_id: _Optional[str] = ..., follow: _Optional[bool] = ..., after: _Optional[int] = ..., all: _Optional[bool] = ..., newest: _Optional[int] = ..., payload: _Optional[bool] = ...) -> None: ...

class GetLineageRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Lineage(_message.Message):
    __slots__ = ("id", "nodes")
    ID_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    id: str
    nodes: _containers.RepeatedCompositeFieldContainer[LineageNode]
    def __init__(self, id: _Optional[str] = ..., nodes: _Optional[_Iterable[_Union[LineageNode, _Mapping]]] = ...) -> None: ...

class LineageNode(_message.Message):
    __slots__ = ("kind", "id", "line", "time", "causes")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    line: str
    time: _timestamp_pb2.Timestamp
    causes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., line: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., causes: _Optional[_Iterable[str]] = ...) -> None: ...

class ListHistoryRequest(_message.Message):
    __slots__ = ("loop", "at")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    loop: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, loop: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListHistoryResponse(_message.Message):
    __slots__ = ("serving_periods",)
    SERVING_PERIODS_FIELD_NUMBER: _ClassVar[int]
    serving_periods: _containers.RepeatedCompositeFieldContainer[ServingPeriod]
    def __init__(self, serving_periods: _Optional[_Iterable[_Union[ServingPeriod, _Mapping]]] = ...) -> None: ...

class ServingPeriod(_message.Message):
    __slots__ = ("epoch", "champion", "challenger", "stage", "share", "since", "until", "converged", "because", "who", "cause_id", "loop")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_FIELD_NUMBER: _ClassVar[int]
    CHALLENGER_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    CONVERGED_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    CAUSE_ID_FIELD_NUMBER: _ClassVar[int]
    LOOP_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    champion: str
    challenger: str
    stage: str
    share: float
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    converged: _timestamp_pb2.Timestamp
    because: str
    who: str
    cause_id: str
    loop: str
    def __init__(self, epoch: _Optional[int] = ..., champion: _Optional[str] = ..., challenger: _Optional[str] = ..., stage: _Optional[str] = ..., share: _Optional[float] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., converged: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., because: _Optional[str] = ..., who: _Optional[str] = ..., cause_id: _Optional[str] = ..., loop: _Optional[str] = ...) -> None: ...

class CommandRequest(_message.Message):
    __slots__ = ("loop", "release_id", "who", "why", "request_id", "model")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    loop: str
    release_id: str
    who: str
    why: str
    request_id: str
    model: _control_pb2.ImportedModel
    def __init__(self, loop: _Optional[str] = ..., release_id: _Optional[str] = ..., who: _Optional[str] = ..., why: _Optional[str] = ..., request_id: _Optional[str] = ..., model: _Optional[_Union[_control_pb2.ImportedModel, _Mapping]] = ...) -> None: ...

class CommandAccepted(_message.Message):
    __slots__ = ("event_id", "correlation_id", "time", "repeated_call", "position")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    REPEATED_CALL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    correlation_id: str
    time: _timestamp_pb2.Timestamp
    repeated_call: bool
    position: int
    def __init__(self, event_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., repeated_call: _Optional[bool] = ..., position: _Optional[int] = ...) -> None: ...

class RebuildRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RebuildResponse(_message.Message):
    __slots__ = ("events", "duration_s")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    events: int
    duration_s: float
    def __init__(self, events: _Optional[int] = ..., duration_s: _Optional[float] = ...) -> None: ...

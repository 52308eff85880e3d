from driftloop.contracts import training_pb2 as _training_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReleaseRef(_message.Message):
    __slots__ = ("release_id", "bundle")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    bundle: _training_pb2.Bundle
    def __init__(self, release_id: _Optional[str] = ..., bundle: _Optional[_Union[_training_pb2.Bundle, _Mapping]] = ...) -> None: ...

class ReleaseCreated(_message.Message):
    __slots__ = ("loop", "release", "request_id", "run_id", "mlflow_version")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MLFLOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    loop: str
    release: ReleaseRef
    request_id: str
    run_id: str
    mlflow_version: str
    def __init__(self, loop: _Optional[str] = ..., release: _Optional[_Union[ReleaseRef, _Mapping]] = ..., request_id: _Optional[str] = ..., run_id: _Optional[str] = ..., mlflow_version: _Optional[str] = ...) -> None: ...

class StageEntered(_message.Message):
    __slots__ = ("loop", "release_id", "stage", "from_stage", "share", "epoch", "step", "champion_release_id", "reason")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    FROM_STAGE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    loop: str
    release_id: str
    stage: str
    from_stage: str
    share: float
    epoch: int
    step: int
    champion_release_id: str
    reason: str
    def __init__(self, loop: _Optional[str] = ..., release_id: _Optional[str] = ..., stage: _Optional[str] = ..., from_stage: _Optional[str] = ..., share: _Optional[float] = ..., epoch: _Optional[int] = ..., step: _Optional[int] = ..., champion_release_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ApprovalRequested(_message.Message):
    __slots__ = ("loop", "release_id", "to_stage", "deadline_ms")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TO_STAGE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    loop: str
    release_id: str
    to_stage: str
    deadline_ms: int
    def __init__(self, loop: _Optional[str] = ..., release_id: _Optional[str] = ..., to_stage: _Optional[str] = ..., deadline_ms: _Optional[int] = ...) -> None: ...

class RouteChanged(_message.Message):
    __slots__ = ("loop", "epoch", "champion", "challenger", "challenger_share", "stage", "rollback_to")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_FIELD_NUMBER: _ClassVar[int]
    CHALLENGER_FIELD_NUMBER: _ClassVar[int]
    CHALLENGER_SHARE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_TO_FIELD_NUMBER: _ClassVar[int]
    loop: str
    epoch: int
    champion: ReleaseRef
    challenger: ReleaseRef
    challenger_share: float
    stage: str
    rollback_to: ReleaseRef
    def __init__(self, loop: _Optional[str] = ..., epoch: _Optional[int] = ..., champion: _Optional[_Union[ReleaseRef, _Mapping]] = ..., challenger: _Optional[_Union[ReleaseRef, _Mapping]] = ..., challenger_share: _Optional[float] = ..., stage: _Optional[str] = ..., rollback_to: _Optional[_Union[ReleaseRef, _Mapping]] = ...) -> None: ...

class ChampionPromoted(_message.Message):
    __slots__ = ("loop", "release_id", "previous_release_id", "epoch", "evidence_ids")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_IDS_FIELD_NUMBER: _ClassVar[int]
    loop: str
    release_id: str
    previous_release_id: str
    epoch: int
    evidence_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, loop: _Optional[str] = ..., release_id: _Optional[str] = ..., previous_release_id: _Optional[str] = ..., epoch: _Optional[int] = ..., evidence_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ReleaseRejected(_message.Message):
    __slots__ = ("loop", "release_id", "stage", "reason", "evidence_ids", "cause")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_IDS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    loop: str
    release_id: str
    stage: str
    reason: str
    evidence_ids: _containers.RepeatedScalarFieldContainer[str]
    cause: str
    def __init__(self, loop: _Optional[str] = ..., release_id: _Optional[str] = ..., stage: _Optional[str] = ..., reason: _Optional[str] = ..., evidence_ids: _Optional[_Iterable[str]] = ..., cause: _Optional[str] = ...) -> None: ...

class ReleaseRolledBack(_message.Message):
    __slots__ = ("loop", "release_id", "from_stage", "to_release_id", "reason", "evidence_ids", "cause")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_STAGE_FIELD_NUMBER: _ClassVar[int]
    TO_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_IDS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    loop: str
    release_id: str
    from_stage: str
    to_release_id: str
    reason: str
    evidence_ids: _containers.RepeatedScalarFieldContainer[str]
    cause: str
    def __init__(self, loop: _Optional[str] = ..., release_id: _Optional[str] = ..., from_stage: _Optional[str] = ..., to_release_id: _Optional[str] = ..., reason: _Optional[str] = ..., evidence_ids: _Optional[_Iterable[str]] = ..., cause: _Optional[str] = ...) -> None: ...

class CommandIgnored(_message.Message):
    __slots__ = ("loop", "command_id", "command", "reason")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    loop: str
    command_id: str
    command: str
    reason: str
    def __init__(self, loop: _Optional[str] = ..., command_id: _Optional[str] = ..., command: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

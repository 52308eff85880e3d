from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReleaseWindow(_message.Message):
    __slots__ = ("release_id", "role", "count", "loss_sum", "score_sum", "outcome_sum", "residual_sum", "residual_square_sum", "answered")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LOSS_SUM_FIELD_NUMBER: _ClassVar[int]
    SCORE_SUM_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_SUM_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_SUM_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_SQUARE_SUM_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    role: str
    count: int
    loss_sum: float
    score_sum: float
    outcome_sum: float
    residual_sum: float
    residual_square_sum: float
    answered: int
    def __init__(self, release_id: _Optional[str] = ..., role: _Optional[str] = ..., count: _Optional[int] = ..., loss_sum: _Optional[float] = ..., score_sum: _Optional[float] = ..., outcome_sum: _Optional[float] = ..., residual_sum: _Optional[float] = ..., residual_square_sum: _Optional[float] = ..., answered: _Optional[int] = ...) -> None: ...

class PairedBlock(_message.Message):
    __slots__ = ("champion_release_id", "challenger_release_id", "block_start_ms", "count", "champion_loss_sum", "challenger_loss_sum", "slice")
    CHAMPION_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CHALLENGER_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    BLOCK_START_MS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_LOSS_SUM_FIELD_NUMBER: _ClassVar[int]
    CHALLENGER_LOSS_SUM_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    champion_release_id: str
    challenger_release_id: str
    block_start_ms: int
    count: int
    champion_loss_sum: float
    challenger_loss_sum: float
    slice: str
    def __init__(self, champion_release_id: _Optional[str] = ..., challenger_release_id: _Optional[str] = ..., block_start_ms: _Optional[int] = ..., count: _Optional[int] = ..., champion_loss_sum: _Optional[float] = ..., challenger_loss_sum: _Optional[float] = ..., slice: _Optional[str] = ...) -> None: ...

class SliceWindow(_message.Message):
    __slots__ = ("release_id", "slice", "count", "loss_sum", "score_sum", "outcome_sum")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LOSS_SUM_FIELD_NUMBER: _ClassVar[int]
    SCORE_SUM_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_SUM_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    slice: str
    count: int
    loss_sum: float
    score_sum: float
    outcome_sum: float
    def __init__(self, release_id: _Optional[str] = ..., slice: _Optional[str] = ..., count: _Optional[int] = ..., loss_sum: _Optional[float] = ..., score_sum: _Optional[float] = ..., outcome_sum: _Optional[float] = ...) -> None: ...

class Histogram(_message.Message):
    __slots__ = ("release_id", "name", "counts", "missing", "psi")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    PSI_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    name: str
    counts: _containers.RepeatedScalarFieldContainer[int]
    missing: int
    psi: float
    def __init__(self, release_id: _Optional[str] = ..., name: _Optional[str] = ..., counts: _Optional[_Iterable[int]] = ..., missing: _Optional[int] = ..., psi: _Optional[float] = ...) -> None: ...

class JoinCounts(_message.Message):
    __slots__ = ("joined", "late", "missing", "duplicate", "corrected", "unpredicted", "overdue", "backdated")
    JOINED_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    CORRECTED_FIELD_NUMBER: _ClassVar[int]
    UNPREDICTED_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_FIELD_NUMBER: _ClassVar[int]
    BACKDATED_FIELD_NUMBER: _ClassVar[int]
    joined: int
    late: int
    missing: int
    duplicate: int
    corrected: int
    unpredicted: int
    overdue: int
    backdated: int
    def __init__(self, joined: _Optional[int] = ..., late: _Optional[int] = ..., missing: _Optional[int] = ..., duplicate: _Optional[int] = ..., corrected: _Optional[int] = ..., unpredicted: _Optional[int] = ..., overdue: _Optional[int] = ..., backdated: _Optional[int] = ...) -> None: ...

class WindowClosed(_message.Message):
    __slots__ = ("loop", "window_id", "start_ms", "end_ms", "releases", "paired", "histograms", "joins", "predictions", "champion_release_id", "slices")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    PAIRED_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAMS_FIELD_NUMBER: _ClassVar[int]
    JOINS_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    loop: str
    window_id: str
    start_ms: int
    end_ms: int
    releases: _containers.RepeatedCompositeFieldContainer[ReleaseWindow]
    paired: _containers.RepeatedCompositeFieldContainer[PairedBlock]
    histograms: _containers.RepeatedCompositeFieldContainer[Histogram]
    joins: JoinCounts
    predictions: int
    champion_release_id: str
    slices: _containers.RepeatedCompositeFieldContainer[SliceWindow]
    def __init__(self, loop: _Optional[str] = ..., window_id: _Optional[str] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., releases: _Optional[_Iterable[_Union[ReleaseWindow, _Mapping]]] = ..., paired: _Optional[_Iterable[_Union[PairedBlock, _Mapping]]] = ..., histograms: _Optional[_Iterable[_Union[Histogram, _Mapping]]] = ..., joins: _Optional[_Union[JoinCounts, _Mapping]] = ..., predictions: _Optional[int] = ..., champion_release_id: _Optional[str] = ..., slices: _Optional[_Iterable[_Union[SliceWindow, _Mapping]]] = ...) -> None: ...

class WindowRestated(_message.Message):
    __slots__ = ("loop", "window_id", "start_ms", "end_ms", "before", "after", "corrections", "known_by_window_id")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_BY_WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    loop: str
    window_id: str
    start_ms: int
    end_ms: int
    before: _containers.RepeatedCompositeFieldContainer[ReleaseWindow]
    after: _containers.RepeatedCompositeFieldContainer[ReleaseWindow]
    corrections: int
    known_by_window_id: str
    def __init__(self, loop: _Optional[str] = ..., window_id: _Optional[str] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., before: _Optional[_Iterable[_Union[ReleaseWindow, _Mapping]]] = ..., after: _Optional[_Iterable[_Union[ReleaseWindow, _Mapping]]] = ..., corrections: _Optional[int] = ..., known_by_window_id: _Optional[str] = ...) -> None: ...

class WindowDecided(_message.Message):
    __slots__ = ("loop", "window_id", "end_ms", "decider", "opened", "silent")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    DECIDER_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    loop: str
    window_id: str
    end_ms: int
    decider: str
    opened: _containers.RepeatedScalarFieldContainer[str]
    silent: _containers.RepeatedCompositeFieldContainer[SilentDetector]
    def __init__(self, loop: _Optional[str] = ..., window_id: _Optional[str] = ..., end_ms: _Optional[int] = ..., decider: _Optional[str] = ..., opened: _Optional[_Iterable[str]] = ..., silent: _Optional[_Iterable[_Union[SilentDetector, _Mapping]]] = ...) -> None: ...

class SilentDetector(_message.Message):
    __slots__ = ("detector", "windows", "rows", "min_rows")
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    MIN_ROWS_FIELD_NUMBER: _ClassVar[int]
    detector: str
    windows: int
    rows: int
    min_rows: int
    def __init__(self, detector: _Optional[str] = ..., windows: _Optional[int] = ..., rows: _Optional[int] = ..., min_rows: _Optional[int] = ...) -> None: ...

class DriftDetected(_message.Message):
    __slots__ = ("loop", "detector", "release_id", "mode", "episode", "statistic", "threshold", "blocks", "explanation", "evidence_ids")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    STATISTIC_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_IDS_FIELD_NUMBER: _ClassVar[int]
    loop: str
    detector: str
    release_id: str
    mode: str
    episode: str
    statistic: float
    threshold: float
    blocks: int
    explanation: str
    evidence_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, loop: _Optional[str] = ..., detector: _Optional[str] = ..., release_id: _Optional[str] = ..., mode: _Optional[str] = ..., episode: _Optional[str] = ..., statistic: _Optional[float] = ..., threshold: _Optional[float] = ..., blocks: _Optional[int] = ..., explanation: _Optional[str] = ..., evidence_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class WriterGivenUp(_message.Message):
    __slots__ = ("loop", "writer", "start", "watermark_ms", "because", "who", "why")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_MS_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    loop: str
    writer: str
    start: int
    watermark_ms: int
    because: str
    who: str
    why: str
    def __init__(self, loop: _Optional[str] = ..., writer: _Optional[str] = ..., start: _Optional[int] = ..., watermark_ms: _Optional[int] = ..., because: _Optional[str] = ..., who: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

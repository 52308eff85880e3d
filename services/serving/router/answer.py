"""Answers batches: check, join features once, score with every release of the route, log, then answer."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from driftloop.contracts import predictions_pb2
from driftloop.model.scores import confidence, finite_rows
from driftloop.model.slices import slice_text
from driftloop.process.errors import Retriable
from services.serving.domain.loop_config import LoopConfig
from services.serving.domain.traffic_split import is_challenger
from services.serving.router.batch import BadRequest, Batch, RawRequest, RequestRows, concatenate, read_request
from services.serving.router.join import Columns, Joined, Joiner, column_indices, columns_of, max_age_ms
from services.serving.router.online import OnlineFeatures
from services.serving.router.prediction_ids import PredictionIds
from services.serving.router.routes import LiveRoute
from services.serving.router.sessions import LoadedRelease, ReleaseError
from services.serving.router.spool import MAX_RECORD_BYTES, SpoolError

CHAMPION, CHALLENGER = "champion", "challenger"


class Spool(Protocol):
    """Stores records before their answers are sent."""

    def write(self, records: Sequence[bytes]) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request of n rows. ``scores`` is float64 [n], or [n, K] for K classes."""

    scores: NDArray[np.float64]
    prediction_ids: list[str]
    release_ids: list[str]
    feature_age_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request has no answer."""

    why: str


@dataclass(frozen=True)
class _Scorer:
    """A release and the indices of its inputs in the joined columns."""

    release: LoadedRelease
    role: str
    numeric: NDArray[np.intp] | None
    strings: NDArray[np.intp] | None
    slices: tuple[str, ...]
    """Inputs of slices that the release does not use: the record lists them in addition."""

    def inputs(self, joined: Joined) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
        numeric = joined.numeric if self.numeric is None else joined.numeric[:, self.numeric]
        return numeric, joined.strings if self.strings is None else joined.strings[:, self.strings]


@dataclass(frozen=True)
class _Scored:
    """A release's inputs and scores for a batch. ``top`` is the greatest score per row."""

    scorer: _Scorer
    numeric: NDArray[np.float64]
    strings: NDArray[np.object_]
    scores: NDArray[np.float64]
    top: NDArray[np.float64]
    finite: NDArray[np.bool_]


@dataclass(frozen=True)
class _Plan:
    """A route prepared for answering."""

    live: LiveRoute[LoadedRelease]
    joiner: Joiner
    scorers: tuple[_Scorer, ...]


@dataclass
class Router:
    """Answers for one loop; use it from one thread."""

    config: LoopConfig
    live: Callable[[], LiveRoute[LoadedRelease] | None]
    online: OnlineFeatures
    spool: Spool
    now_ms: Callable[[], int]
    probe_secret: Callable[[], str]
    draw_id: Callable[[], str] = lambda: uuid.uuid4().hex
    _plan: _Plan | None = field(default=None, init=False)
    _ids: PredictionIds = field(init=False)

    def __post_init__(self) -> None:
        self._ids = PredictionIds(self.config, self.draw_id)

    def answer(self, requests: Sequence[RawRequest]) -> list[Answer | Refusal]:
        """Return one answer or refusal per request, in order. The spool has the records of all answers by then.

        A request that the champion cannot score is refused, and the others are answered.

        Raises:
            ReleaseError: the champion failed for every request. Errors of the online store and the spool pass through.
                No request was answered then.
        """
        plan = self._current_plan()
        if plan is None:
            return [Refusal("no release answers for this loop yet")] * len(requests)
        now_ms = self.now_ms()
        checked = [self._check(request, now_ms) for request in requests]
        valid = [request for request in checked if isinstance(request, RequestRows)]
        if not valid:
            return [refusal for refusal in checked if isinstance(refusal, Refusal)]
        answers = self._answer_valid(plan, valid, now_ms)
        return [result if isinstance(result, Refusal) else next(answers) for result in checked]

    def _check(self, raw: RawRequest, now_ms: int) -> RequestRows | Refusal:
        try:
            return read_request(raw, self.config, now_ms, self._newest_features_ms, self.probe_secret)
        except BadRequest as problem:
            return Refusal(str(problem))
        except Exception as error:  # noqa: BLE001  # whatever a request holds, the others of its batch are answered
            return Refusal(f"the request cannot be read: {type(error).__name__}")

    def _newest_features_ms(self) -> int:
        return max(self.online.watermarks().values(), default=0)

    def _answer_valid(self, plan: _Plan, requests: Sequence[RequestRows], now_ms: int) -> Iterator[Answer | Refusal]:
        """Answer the requests together; if that fails, answer each alone, so that only the cause of it fails."""
        try:
            return iter(self._answer(plan, requests, now_ms))
        except (SpoolError, sqlite3.Error, Retriable, OSError):
            raise
        except Exception:
            if len(requests) == 1:
                raise
        answers = [self._answer_alone(plan, request, now_ms) for request in requests]
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        if len(errors) == len(answers):
            raise errors[0]
        return iter([Refusal(str(answer)) if isinstance(answer, Exception) else answer for answer in answers])

    def _answer_alone(self, plan: _Plan, request: RequestRows, now_ms: int) -> Answer | Refusal | Exception:
        try:
            (answer,) = self._answer(plan, [request], now_ms)
        except (SpoolError, sqlite3.Error, Retriable, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # the caller refuses this request
            return error
        return answer

    def _current_plan(self) -> _Plan | None:
        live = self.live()
        if live is None:
            return None
        if self._plan is None or self._plan.live is not live:
            self._plan = self._prepare(live)
        return self._plan

    def _prepare(self, live: LiveRoute[LoadedRelease]) -> _Plan:
        releases = [live.champion] if live.challenger is None else [live.champion, live.challenger]
        columns = columns_of([inputs for release in releases for inputs in (release.numeric, release.categorical)])
        joiner = Joiner(columns, self.config.join_keys, max_age_ms(columns, self.config), self.online)
        roles = (CHAMPION, CHALLENGER)
        slices = self.config.slices
        scorers = (_scorer(r, role, columns, slices) for r, role in zip(releases, roles, strict=False))
        return _Plan(live, joiner, tuple(scorers))

    def _answer(self, plan: _Plan, requests: Sequence[RequestRows], now_ms: int) -> list[Answer | Refusal]:
        batch = concatenate(requests)
        joined = plan.joiner.join(batch)
        scored = _score(plan.scorers, joined)
        arms = _arms(plan.live, batch, scored)
        ids = [prediction_id for request in requests for prediction_id in self._ids.of(request, now_ms)]
        answer_scores = np.array([arm.scores[row] for row, arm in enumerate(arms)])
        finite = finite_rows(answer_scores)
        ages = joined.feature_age_s(batch.decision_ms)
        answers: list[Answer | Refusal] = []
        records: list[bytes] = []
        start = 0
        for request in requests:
            rows = range(start, start + len(request.keys))
            start = rows.stop
            if not finite[rows.start : rows.stop].all():
                answers.append(
                    Refusal(f"release {plan.live.champion.release_id} gives no finite score for this request")
                )
                continue
            logged = [
                self._record(plan.live, batch, joined, scored, arms[row], row, ids[row], request.probe, now_ms)
                for row in rows
            ]
            if (longest := max(map(len, logged))) > MAX_RECORD_BYTES:
                answers.append(
                    Refusal(
                        f"the log record of a row has {longest} bytes; send shorter inputs (limit {MAX_RECORD_BYTES})"
                    )
                )
                continue
            records += logged
            answers.append(
                Answer(
                    answer_scores[rows.start : rows.stop],
                    ids[rows.start : rows.stop],
                    [arms[row].scorer.release.release_id for row in rows],
                    ages[rows.start : rows.stop],
                )
            )
        if records:
            self.spool.write(records)
        return answers

    def _record(
        self,
        live: LiveRoute[LoadedRelease],
        batch: Batch,
        joined: Joined,
        scored: Sequence[_Scored],
        arm: _Scored,
        row: int,
        prediction_id: str,
        probe: bool,
        now_ms: int,
    ) -> bytes:
        record = predictions_pb2.PredictionServed(
            loop=self.config.loop,
            prediction_id=prediction_id,
            key=batch.keys[row],
            decision_time_ms=int(batch.decision_ms[row]),
            release_id=arm.scorer.release.release_id,
            arm=arm.scorer.role,
            score=arm.top[row],
            input_digest=arm.scorer.release.input_digest,
            numeric=arm.numeric[row].tolist(),
            categorical=arm.strings[row].tolist(),
            feature_watermark_ms=joined.watermark_ms,
            route_epoch=live.route.epoch,
            served_wall_time_ms=now_ms,
            purpose=predictions_pb2.PROBE if probe else predictions_pb2.CLIENT,
            stale_views=joined.stale[row],
            slice_inputs=[
                predictions_pb2.InputValue(name=name, value=slice_text(batch.columns[name][row]))
                for name in arm.scorer.slices
            ],
        )
        for result in scored:
            if result.finite[row]:
                release_id = result.scorer.release.release_id
                entry = record.scores.add(release_id=release_id, role=result.scorer.role, score=result.top[row])
                if result.scores.ndim > 1:
                    entry.class_scores.extend(result.scores[row].tolist())
        return record.SerializeToString()


def _scorer(release: LoadedRelease, role: str, columns: Columns, slices: Sequence[str]) -> _Scorer:
    used = {column.name for column in (*release.numeric, *release.categorical)}
    return _Scorer(
        release,
        role,
        column_indices(release.numeric, columns.numeric),
        column_indices(release.categorical, columns.strings),
        tuple(name for name in slices if name not in used),
    )


def _score(scorers: Sequence[_Scorer], joined: Joined) -> list[_Scored]:
    """Return the champion's scores, then the challenger's; NaN if the challenger fails."""
    scored: list[_Scored] = []
    for scorer in scorers:
        numeric, strings = scorer.inputs(joined)
        try:
            scores = scorer.release.score(numeric, strings)
        except ReleaseError:
            if scorer.role == CHAMPION:
                raise
            scores = np.full_like(scored[0].scores, np.nan)
        scored.append(_Scored(scorer, numeric, strings, scores, confidence(scores), finite_rows(scores)))
    return scored


def _arms(live: LiveRoute[LoadedRelease], batch: Batch, scored: Sequence[_Scored]) -> list[_Scored]:
    """Return whose score answers each row. The champion also answers if the challenger has no finite score."""
    champion = scored[0]
    if len(scored) == 1 or live.route.challenger_share <= 0 or live.route.challenger is None:
        return [champion] * len(batch)
    challenger, salt, share = scored[1], live.route.challenger.release_id, live.route.challenger_share
    return [
        challenger if challenger.finite[row] and is_challenger(key, salt, share) else champion
        for row, key in enumerate(batch.keys)
    ]

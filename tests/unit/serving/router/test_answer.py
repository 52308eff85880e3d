import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from driftloop.contracts import predictions_pb2
from driftloop.events.probe import MARKER, PROBE, SECRET
from driftloop.process.errors import Retriable
from services.serving.domain.model_config import RouterPaths, loop_config
from services.serving.domain.route import ReleaseOnRoute, Route
from services.serving.domain.traffic_split import is_challenger
from services.serving.router.answer import Answer, Refusal, Router
from services.serving.router.batch import RawRequest
from services.serving.router.online import ViewRequest, ViewRows
from services.serving.router.routes import LiveRoute
from services.serving.router.sessions import LoadedRelease, ReleaseError
from services.serving.router.spool import SpoolError
from tests.unit.serving.harness import CATEGORICAL, CLASSES, DEFINITION, DEPOT, NUMERIC, T0, probabilities
from tests.unit.serving.router.test_batch import raw, tensors
from tests.unit.serving.router.test_join import FakeOnline, full_store

CONFIG = loop_config(DEFINITION, RouterPaths(*[Path("/x")] * 5))
Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass
class Session:
    """Scores with a function of the numeric inputs, like `onnxruntime.InferenceSession`."""

    score: Score

    def run(self, outputs: Sequence[str], feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float64]]:
        assert outputs == ["score"]
        return [self.score(feed["numeric"]).reshape(-1, 1)]


@dataclass
class ListSpool:
    """Keeps records in memory, or refuses them if full."""

    records: list[predictions_pb2.PredictionServed] = field(default_factory=list)
    full: bool = False

    def write(self, records: Sequence[bytes]) -> None:
        if self.full:
            raise SpoolError("disk full")
        self.records += [predictions_pb2.PredictionServed.FromString(record) for record in records]


def total(numeric: NDArray[np.float64]) -> NDArray[np.float64]:
    summed: NDArray[np.float64] = np.nan_to_num(numeric).sum(axis=1)
    return summed


def release(name: str, score: Score = total) -> LoadedRelease:
    return LoadedRelease(name, NUMERIC, CATEGORICAL, f"inputs-of-{name}", Session(score))


def build_router(
    champion: LoadedRelease, challenger: LoadedRelease | None = None, share: float = 0.0, spool: ListSpool | None = None
) -> tuple[Router, ListSpool]:
    refs = [ReleaseOnRoute(loaded.release_id, "d") for loaded in (champion, challenger) if loaded is not None]
    route = Route("parcels", 3, refs[0], refs[1] if challenger else None, share)
    live = LiveRoute(route, champion, challenger)
    spool = spool or ListSpool()
    drawn = iter(f"drawn-{n}" for n in range(1000))
    return Router(CONFIG, lambda: live, full_store(), spool, lambda: T0 + 99, str, lambda: next(drawn)), spool


def request(request_id: str = "q", n: int = 1, probe: bool = False, **changes: Any) -> RawRequest:
    parameters = json.dumps({MARKER: PROBE, SECRET: ""} if probe else {})
    return RawRequest(lambda: request_id, lambda: parameters, tensors(n, **changes).__getitem__)


def not_utf8() -> str:
    return b"\xff".decode()


def keyed(*keys: str) -> RawRequest:
    return request("q", len(keys), parcel_id=[key.encode() for key in keys])


def answer_one(router: Router, raw_request: RawRequest) -> Answer:
    (answer,) = router.answer([raw_request])
    assert isinstance(answer, Answer)
    return answer


def test_an_answer_and_its_record_match() -> None:
    router, spool = build_router(release("r-a"))
    answer = answer_one(router, request("q-1"))
    assert answer.scores.tolist() == [1 + 2 + 5 + 6 + 0.5]
    assert (answer.prediction_ids, answer.release_ids) == (["q-1.c961512b7cf8f8d4"], ["r-a"])
    assert answer.feature_age_s.tolist() == [0.0]
    (record,) = spool.records
    assert record == predictions_pb2.PredictionServed(
        loop="parcels",
        prediction_id="q-1.c961512b7cf8f8d4",
        key="p0",
        decision_time_ms=T0,
        release_id="r-a",
        arm="champion",
        score=14.5,
        scores=[predictions_pb2.ReleaseScore(release_id="r-a", role="champion", score=14.5)],
        input_digest="inputs-of-r-a",
        numeric=[1, 2, 5, 6, 0.5],
        categorical=["calm", "north"],
        feature_watermark_ms=T0,
        route_epoch=3,
        served_wall_time_ms=T0 + 99,
        purpose=predictions_pb2.CLIENT,
    )


def test_each_row_has_its_own_prediction_id() -> None:
    router, spool = build_router(release("r-a"))
    assert [name.split(".")[0] for name in answer_one(router, request("q", 3)).prediction_ids] == ["q/0", "q/1", "q/2"]
    assert answer_one(router, request("", 2)).prediction_ids == ["drawn-0/0", "drawn-0/1"]
    assert answer_one(router, request("", 1)).prediction_ids == ["drawn-1"]
    assert len(spool.records) == 6


def test_a_bad_request_is_refused_and_the_others_are_answered() -> None:
    router, spool = build_router(release("r-a"))
    before, bad, after = router.answer([request("a"), request("b", 2, parcel_id=[b"x", b""]), request("c", 2)])
    assert isinstance(before, Answer)
    assert isinstance(after, Answer)
    assert bad == Refusal("input 'parcel_id': the prediction key of row 1 is empty")
    assert asked(spool) == ["a", "c/0", "c/1"]


def asked(spool: ListSpool) -> list[str]:
    """Return the caller's id and row of each record."""
    return [record.prediction_id.split(".")[0] for record in spool.records]


@pytest.mark.parametrize(
    "bad",
    [
        request("x" * 129),
        request("b", decision_time_ms=[T0 // 1000]),
        request("b", decision_time_ms=[2**63 - 1]),
        request("b", parcel_id=[b"\xff"]),
        request("b", weight=[np.inf]),
        RawRequest(not_utf8, str, tensors(1).__getitem__),
        RawRequest(str, not_utf8, tensors(1).__getitem__),
        RawRequest(str, lambda: "[]", dict[str, NDArray[Any]]().__getitem__),
        RawRequest(str, lambda: json.dumps({MARKER: PROBE}), tensors(1).__getitem__),
        RawRequest(str, lambda: json.dumps({MARKER: PROBE, SECRET: "guess"}), tensors(1).__getitem__),
    ],
)
def test_whatever_a_request_holds_the_others_of_its_batch_are_answered(bad: RawRequest) -> None:
    router, spool = build_router(release("r-a"))
    before, refused, after = router.answer([request("a"), bad, request("c")])
    assert isinstance(before, Answer)
    assert isinstance(refused, Refusal)
    assert isinstance(after, Answer)
    assert asked(spool) == ["a", "c"]


def test_a_row_that_the_champion_cannot_score_fails_only_its_request() -> None:
    def choosy(numeric: NDArray[np.float64]) -> NDArray[np.float64]:
        if (numeric[:, -1] > 1).any():
            raise RuntimeError("no kernel for this")
        return total(numeric)

    router, spool = build_router(release("r-a", choosy))
    before, refused, after = router.answer([request("a"), request("b", weight=[2.0]), request("c")])
    assert isinstance(before, Answer)
    assert refused == Refusal("release r-a: the graph failed: no kernel for this")
    assert isinstance(after, Answer)
    assert asked(spool) == ["a", "c"]


def test_a_record_that_is_too_long_for_the_log_is_refused() -> None:
    wide = replace(release("r-a"), numeric=NUMERIC * 50_000)
    router, spool = build_router(wide)
    [refused] = router.answer([request("a")])
    assert isinstance(refused, Refusal)
    assert "the log record of a row has 2" in refused.why
    assert spool.records == []


def test_a_constant_id_counts_every_question_and_each_retry_once() -> None:
    router, spool = build_router(release("r-a"))
    for key in [f"k{n}" for n in range(100)] * 2:
        answer_one(router, request("1", parcel_id=[key.encode()]))
    assert len({record.prediction_id for record in spool.records}) == 100


def test_both_releases_score_every_row_and_the_arm_decides_the_answer() -> None:
    router, spool = build_router(release("r-a"), release("r-b", lambda x: total(x) + 100), share=0.5)
    keys = [f"k{n}" for n in range(200)]
    answer = answer_one(router, keyed(*keys))
    for key, score, by, record in zip(keys, answer.scores, answer.release_ids, spool.records, strict=True):
        expected = "r-b" if is_challenger(key, "r-b", 0.5) else "r-a"
        assert (by, record.release_id, record.arm) == (expected,) * 2 + ("challenger" if by == "r-b" else "champion",)
        assert score == record.score
        assert {(score.release_id, score.role) for score in record.scores} == {
            ("r-a", "champion"),
            ("r-b", "challenger"),
        }
        assert record.scores[1].score - record.scores[0].score == pytest.approx(100)
    assert {"r-a", "r-b"} == set(answer.release_ids)


def test_a_shadow_scores_but_never_answers() -> None:
    router, spool = build_router(release("r-a"), release("r-b"), share=0.0)
    assert set(answer_one(router, keyed(*(f"k{n}" for n in range(50)))).release_ids) == {"r-a"}
    assert all(len(record.scores) == 2 for record in spool.records)


def test_the_champion_answers_if_the_challenger_fails() -> None:
    def broken(numeric: NDArray[np.float64]) -> NDArray[np.float64]:
        raise RuntimeError("no")

    router, spool = build_router(release("r-a"), release("r-b", broken), share=1.0)
    assert answer_one(router, request()).release_ids == ["r-a"]
    assert [score.release_id for score in spool.records[0].scores] == ["r-a"]


def test_no_request_is_answered_if_the_champion_fails() -> None:
    def broken(numeric: NDArray[np.float64]) -> NDArray[np.float64]:
        raise RuntimeError("no")

    router, spool = build_router(release("r-a", broken))
    with pytest.raises(ReleaseError, match="r-a"):
        router.answer([request()])
    assert spool.records == []


def test_a_request_with_a_non_finite_score_is_refused() -> None:
    router, spool = build_router(release("r-a", lambda x: np.where(x[:, -1] > 1, np.nan, 0.0)))
    good, bad = router.answer([request("good"), request("bad", weight=[2.0])])
    assert isinstance(good, Answer)
    assert isinstance(bad, Refusal)
    assert asked(spool) == ["good"]


def test_no_request_is_answered_if_the_spool_is_full() -> None:
    router, _ = build_router(release("r-a"), spool=ListSpool(full=True))
    with pytest.raises(SpoolError):
        router.answer([request()])


def test_an_online_store_that_does_not_answer_is_asked_once_for_a_batch() -> None:
    reads = []

    class Unavailable(FakeOnline):
        def read(self, wanted: Mapping[str, ViewRequest]) -> dict[str, ViewRows]:
            reads.append(wanted)
            raise Retriable("online store: Redis at cache:6379: Timeout")

    router, spool = build_router(release("r-a"))
    router = replace(router, online=Unavailable(**vars(full_store())))
    with pytest.raises(Retriable, match="cache:6379"):
        router.answer([request("a"), request("b")])
    assert len(reads) == 1
    assert spool.records == []


def test_a_probe_is_marked() -> None:
    router, spool = build_router(release("r-a"))
    answer_one(router, request(probe=True))
    assert spool.records[0].purpose == predictions_pb2.PROBE


def test_a_stale_view_is_listed_in_the_record() -> None:
    router, spool = build_router(release("r-a"))
    answer_one(router, request(decision_time_ms=[T0 + 3 * 3_600_000]))
    assert DEPOT in spool.records[0].stale_views
    assert np.isnan(spool.records[0].numeric[0])


def test_before_the_first_route_every_request_is_refused() -> None:
    router = Router(CONFIG, lambda: None, full_store(), ListSpool(), lambda: T0, str)
    assert all(isinstance(answer, Refusal) for answer in router.answer([raw(), raw()]))


class ClassSession(Session):
    """Scores three classes."""

    def run(self, outputs: Sequence[str], feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float64]]:
        return [probabilities(self.score(feed["numeric"]), 3)]


def of_classes(name: str, score: Score = total) -> LoadedRelease:
    return LoadedRelease(name, NUMERIC, CATEGORICAL, f"inputs-of-{name}", ClassSession(score), CLASSES)


def test_a_multiclass_answer_has_all_scores_and_its_record_the_greatest_too() -> None:
    router, spool = build_router(of_classes("r-a"), of_classes("r-b", lambda x: -total(x)), share=0.5)
    keys = [f"k{n}" for n in range(50)]
    answer = answer_one(router, keyed(*keys))
    assert answer.scores.shape == (50, 3)
    np.testing.assert_allclose(answer.scores.sum(axis=1), 1.0)
    for scores, by, record in zip(answer.scores, answer.release_ids, spool.records, strict=True):
        entries = {entry.release_id: entry for entry in record.scores}
        assert list(entries[by].class_scores) == scores.tolist()
        assert record.score == entries[by].score == scores.max()
        assert all(entry.score == max(entry.class_scores) for entry in record.scores)
    assert {"r-a", "r-b"} == set(answer.release_ids)


def test_a_release_with_a_non_finite_class_score_does_not_answer_the_row() -> None:
    broken = of_classes("r-b", lambda x: np.full(len(x), np.nan))
    router, spool = build_router(of_classes("r-a"), broken, share=1.0)
    assert answer_one(router, request("q", 2)).release_ids == ["r-a", "r-a"]
    assert [[entry.release_id for entry in record.scores] for record in spool.records] == [["r-a"], ["r-a"]]
    router, spool = build_router(broken)
    assert router.answer([request("q", 2)]) == [Refusal("release r-b gives no finite score for this request")]


def test_the_champion_answers_if_a_multiclass_challenger_fails() -> None:
    def fail(numeric: NDArray[np.float64]) -> NDArray[np.float64]:
        raise ValueError("no")

    router, _ = build_router(of_classes("r-a"), of_classes("r-b", fail), share=1.0)
    assert answer_one(router, request("q", 2)).scores.shape == (2, 3)


@pytest.mark.parametrize(
    ("sliced", "logged"),
    [(("zone",), [("zone", "7")]), (("depot",), []), (("depot", "weight", "zone"), [("zone", "7")]), ((), [])],
)
def test_a_record_has_the_inputs_of_slices_that_the_release_does_not_use(
    sliced: tuple[str, ...], logged: list[tuple[str, str]]
) -> None:
    router, spool = build_router(release("r-1"))
    router = replace(router, config=replace(CONFIG, slices=sliced))
    answer_one(router, request("q"))
    assert [(entry.name, entry.value) for entry in spool.records[0].slice_inputs] == logged

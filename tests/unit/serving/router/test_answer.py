from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from driftloop.contracts import predictions_pb2
from services.serving.domain.arms import is_challenger
from services.serving.domain.model_config import RouterPaths, loop_config
from services.serving.domain.route import ReleaseOnRoute, Route
from services.serving.router.answer import Answer, Refusal, Router
from services.serving.router.batch import RawRequest
from services.serving.router.routes import LiveRoute
from services.serving.router.sessions import LoadedRelease, ReleaseError
from services.serving.router.spool import SpoolError
from tests.unit.serving.harness import CATEGORICAL, CLASSES, DEFINITION, DEPOT, NUMERIC, T0, probabilities
from tests.unit.serving.router.test_batch import raw, tensors
from tests.unit.serving.router.test_join import full_store

CONFIG = loop_config(DEFINITION, RouterPaths(*[Path("/x")] * 4))
Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass
class Session:
    """Scores by a function of the numeric inputs, as `onnxruntime.InferenceSession` answers."""

    score: Score

    def run(self, outputs: Sequence[str], feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float64]]:
        assert outputs == ["score"]
        return [self.score(feed["numeric"]).reshape(-1, 1)]


@dataclass
class ListSpool:
    """Keeps records, or refuses them."""

    records: list[predictions_pb2.PredictionServed] = field(default_factory=list)
    full: bool = False

    def write(self, records: Sequence[bytes]) -> None:
        if self.full:
            raise SpoolError("disk full")
        self.records += [predictions_pb2.PredictionServed.FromString(each) for each in records]


def total(numeric: NDArray[np.float64]) -> NDArray[np.float64]:
    summed: NDArray[np.float64] = np.nan_to_num(numeric).sum(axis=1)
    return summed


def release(name: str, score: Score = total) -> LoadedRelease:
    return LoadedRelease(name, NUMERIC, CATEGORICAL, f"inputs-of-{name}", Session(score))


def router(
    champion: LoadedRelease, challenger: LoadedRelease | None = None, share: float = 0.0, spool: ListSpool | None = None
) -> tuple[Router, ListSpool]:
    refs = [ReleaseOnRoute(each.release_id, "d") for each in (champion, challenger) if each is not None]
    route = Route("parcels", 3, refs[0], refs[1] if challenger else None, share)
    live = LiveRoute(route, champion, challenger)
    spool = spool or ListSpool()
    drawn = iter(f"drawn-{n}" for n in range(1000))
    return Router(CONFIG, lambda: live, full_store(), spool, lambda: T0 + 99, lambda: next(drawn)), spool


def request(request_id: str = "q", n: int = 1, probe: bool = False, **changes: Any) -> RawRequest:
    return RawRequest(request_id, probe, tensors(n, **changes).__getitem__)


def keyed(*keys: str) -> RawRequest:
    return request("q", len(keys), parcel_id=[key.encode() for key in keys])


def one(made: Router, asked: RawRequest) -> Answer:
    (answer,) = made.answer([asked])
    assert isinstance(answer, Answer)
    return answer


def test_an_answer_and_its_record_say_the_same() -> None:
    made, spool = router(release("r-a"))
    answer = one(made, request("q-1"))
    assert answer.scores.tolist() == [1 + 2 + 5 + 6 + 0.5]
    assert (answer.prediction_ids, answer.release_ids) == (["q-1"], ["r-a"])
    assert answer.feature_age_s.tolist() == [0.0]
    (record,) = spool.records
    assert record == predictions_pb2.PredictionServed(
        loop="parcels",
        prediction_id="q-1",
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


def test_several_rows_have_ids_of_their_own() -> None:
    made, spool = router(release("r-a"))
    assert one(made, request("q", 3)).prediction_ids == ["q/0", "q/1", "q/2"]
    assert one(made, request("", 2)).prediction_ids == ["drawn-0/0", "drawn-0/1"]
    assert one(made, request("", 1)).prediction_ids == ["drawn-1"]
    assert len(spool.records) == 6


def test_a_bad_request_is_refused_and_its_neighbours_are_answered() -> None:
    made, spool = router(release("r-a"))
    before, bad, after = made.answer([request("a"), request("b", 2, parcel_id=[b"x", b""]), request("c", 2)])
    assert isinstance(before, Answer)
    assert isinstance(after, Answer)
    assert bad == Refusal("input 'parcel_id': the prediction key of row 1 is empty")
    assert [record.prediction_id for record in spool.records] == ["a", "c/0", "c/1"]


def test_both_releases_score_every_row_and_the_arm_decides_the_answer() -> None:
    made, spool = router(release("r-a"), release("r-b", lambda x: total(x) + 100), share=0.5)
    keys = [f"k{n}" for n in range(200)]
    answer = one(made, keyed(*keys))
    for key, score, by, record in zip(keys, answer.scores, answer.release_ids, spool.records, strict=True):
        expected = "r-b" if is_challenger(key, "r-b", 0.5) else "r-a"
        assert (by, record.release_id, record.arm) == (expected,) * 2 + ("challenger" if by == "r-b" else "champion",)
        assert score == record.score
        assert {(each.release_id, each.role) for each in record.scores} == {("r-a", "champion"), ("r-b", "challenger")}
        assert record.scores[1].score - record.scores[0].score == pytest.approx(100)
    assert {"r-a", "r-b"} == set(answer.release_ids)


def test_a_shadow_scores_and_answers_nobody() -> None:
    made, spool = router(release("r-a"), release("r-b"), share=0.0)
    assert set(one(made, keyed(*(f"k{n}" for n in range(50)))).release_ids) == {"r-a"}
    assert all(len(record.scores) == 2 for record in spool.records)


def test_a_challenger_that_fails_costs_no_answer() -> None:
    def broken(numeric: NDArray[np.float64]) -> NDArray[np.float64]:
        raise RuntimeError("no")

    made, spool = router(release("r-a"), release("r-b", broken), share=1.0)
    assert one(made, request()).release_ids == ["r-a"]
    assert [each.release_id for each in spool.records[0].scores] == ["r-a"]


def test_a_champion_that_fails_answers_nobody() -> None:
    def broken(numeric: NDArray[np.float64]) -> NDArray[np.float64]:
        raise RuntimeError("no")

    made, spool = router(release("r-a", broken))
    with pytest.raises(ReleaseError, match="r-a"):
        made.answer([request()])
    assert spool.records == []


def test_a_score_that_is_not_finite_is_no_answer() -> None:
    made, spool = router(release("r-a", lambda x: np.where(x[:, -1] > 1, np.nan, 0.0)))
    good, bad = made.answer([request("good"), request("bad", weight=[2.0])])
    assert isinstance(good, Answer)
    assert isinstance(bad, Refusal)
    assert [record.prediction_id for record in spool.records] == ["good"]


def test_no_answer_leaves_when_the_spool_is_full() -> None:
    made, _ = router(release("r-a"), spool=ListSpool(full=True))
    with pytest.raises(SpoolError):
        made.answer([request()])


def test_a_probe_is_marked() -> None:
    made, spool = router(release("r-a"))
    one(made, request(probe=True))
    assert spool.records[0].purpose == predictions_pb2.PROBE


def test_a_stale_view_is_named_in_the_record() -> None:
    made, spool = router(release("r-a"))
    one(made, request(decision_time_ms=[T0 + 3 * 3_600_000]))
    assert DEPOT in spool.records[0].stale_views
    assert np.isnan(spool.records[0].numeric[0])


def test_before_the_first_route_every_request_is_refused() -> None:
    made = Router(CONFIG, lambda: None, full_store(), ListSpool(), lambda: T0)
    assert all(isinstance(each, Refusal) for each in made.answer([raw(), raw()]))


class ClassSession(Session):
    """Scores three classes by softmax of multiples of the score."""

    def run(self, outputs: Sequence[str], feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float64]]:
        return [probabilities(self.score(feed["numeric"]), 3)]


def of_classes(name: str, score: Score = total) -> LoadedRelease:
    return LoadedRelease(name, NUMERIC, CATEGORICAL, f"inputs-of-{name}", ClassSession(score), CLASSES)


def test_of_classes_the_answer_holds_each_and_the_record_the_likeliest_and_each() -> None:
    made, spool = router(of_classes("r-a"), of_classes("r-b", lambda x: -total(x)), share=0.5)
    keys = [f"k{n}" for n in range(50)]
    answer = one(made, keyed(*keys))
    assert answer.scores.shape == (50, 3)
    np.testing.assert_allclose(answer.scores.sum(axis=1), 1.0)
    for scores, by, record in zip(answer.scores, answer.release_ids, spool.records, strict=True):
        entries = {each.release_id: each for each in record.scores}
        assert list(entries[by].class_scores) == scores.tolist()
        assert record.score == entries[by].score == scores.max()
        assert all(each.score == max(each.class_scores) for each in record.scores)
    assert {"r-a", "r-b"} == set(answer.release_ids)


def test_a_row_with_a_class_that_has_no_finite_score_is_not_answered_by_that_release() -> None:
    broken = of_classes("r-b", lambda x: np.full(len(x), np.nan))
    made, spool = router(of_classes("r-a"), broken, share=1.0)
    assert one(made, request("q", 2)).release_ids == ["r-a", "r-a"]
    assert [[each.release_id for each in record.scores] for record in spool.records] == [["r-a"], ["r-a"]]
    made, spool = router(broken)
    assert made.answer([request("q", 2)]) == [Refusal("release r-b gives no finite score for this request")]


def test_a_challenger_of_classes_that_fails_leaves_the_champion_its_answers() -> None:
    def fail(numeric: NDArray[np.float64]) -> NDArray[np.float64]:
        raise ValueError("no")

    made, _ = router(of_classes("r-a"), of_classes("r-b", fail), share=1.0)
    assert one(made, request("q", 2)).scores.shape == (2, 3)

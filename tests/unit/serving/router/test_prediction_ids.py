from dataclasses import replace
from itertools import count
from typing import Any

from services.serving.router.batch import RequestRows
from services.serving.router.prediction_ids import RETRY_MS, PredictionIds
from tests.unit.serving.harness import T0
from tests.unit.serving.router.test_batch import CONFIG

DAY_MS = 86_400_000


def ids(clock: str = "request") -> PredictionIds:
    drawn = count()
    return PredictionIds(replace(CONFIG, clock=clock), lambda: f"drawn-{next(drawn)}")  # type: ignore[arg-type]


def request(request_id: str = "1", *keys: str, at_ms: int = T0, probe: bool = False, **inputs: Any) -> RequestRows:
    rows = len(keys := keys or ("k",))
    columns: dict[str, Any] = {"depot": ["north"] * rows, "zone": [7] * rows, "weight": [0.5] * rows} | inputs
    return RequestRows(request_id, probe, list(keys), [at_ms] * rows, {**columns, "parcel_id": keys})


def test_a_constant_id_gives_each_question_its_own_prediction() -> None:
    names = ids()
    questions = [request("1", f"k{n}") for n in range(100)]
    questions += [request("1", at_ms=T0 + 1 + n) for n in range(100)]
    questions += [request("1", weight=[float(n)]) for n in range(100)]
    questions += [request("1", zone=[100 + n]) for n in range(100)]
    questions += [request("1", depot=[f"d{n}"]) for n in range(100)]
    made = [name for question in questions for name in names.of(question, T0)]
    assert len(set(made)) == 500
    assert all(name.startswith("1.") for name in made)


def test_a_retry_has_the_same_id_in_any_router() -> None:
    assert ids().of(request("1", "a", "b"), T0) == ids().of(request("1", "a", "b"), T0 + DAY_MS)


def test_rows_of_one_request_differ_even_if_they_ask_the_same() -> None:
    first, second = ids().of(request("1", "a", "a"), T0)
    assert (first[:4], second[:4]) == ("1/0.", "1/1.")
    assert first != second


def test_a_request_for_one_row_is_no_row_of_another() -> None:
    assert ids().of(request("1/0", "a"), T0) != ids().of(request("1", "a", "b"), T0)[:1]


def test_ids_sort_like_those_without_a_digest() -> None:
    """Sums add up in the order of ids, so the order decides their last bits."""
    bare = [f"{base}/{row}" for base in ("l-0", "l-1", "l-10", "l-2") for row in range(256)]
    made = {
        name: bare_name
        for base in ("l-0", "l-1", "l-10", "l-2")
        for name, bare_name in zip(
            ids().of(request(base, *map(str, range(256))), T0), (f"{base}/{row}" for row in range(256)), strict=True
        )
    }
    assert [made[name] for name in sorted(made)] == sorted(bare)


def test_without_an_id_every_call_counts() -> None:
    names = ids()
    assert names.of(request(""), T0) == ["drawn-0"]
    assert names.of(request("", "a", "b"), T0) == ["drawn-1/0", "drawn-1/1"]


def test_a_probe_keeps_its_id() -> None:
    assert ids().of(request("probe-parcels-3", probe=True), T0) == ["probe-parcels-3"]


def test_missing_values_repeat_like_others() -> None:
    assert ids().of(request(weight=[float("nan")]), T0) == ids().of(request(weight=[float("nan")]), T0)


def test_on_the_own_clock_a_retry_counts_once_and_a_later_call_again() -> None:
    names = ids("now")

    def at(now_ms: int, *keys: str) -> list[str]:
        return names.of(request("1", *keys, at_ms=now_ms), now_ms)

    first = at(T0)
    assert at(T0 + 5_000) == at(T0 + RETRY_MS) == first
    assert at(T0, "other") != first
    second = at(T0 + RETRY_MS + 1)
    assert second != first
    assert at(T0 + RETRY_MS + 2) == second

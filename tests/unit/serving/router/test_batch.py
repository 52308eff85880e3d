import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from driftloop.events.probe import MARKER, PROBE, SECRET
from services.serving.domain.loop_config import LoopConfig
from services.serving.domain.model_config import RouterPaths, loop_config
from services.serving.router.batch import BadRequest, RawRequest, RequestRows, concatenate, read_request
from tests.unit.serving.harness import DEFINITION, T0

CONFIG = loop_config(DEFINITION, RouterPaths(*[Path("/x")] * 5))

DAY_MS = 86_400_000


def tensors(n: int = 1, **changes: Any) -> dict[str, NDArray[Any]]:
    values: dict[str, NDArray[Any]] = {
        "parcel_id": np.array([b"p%d" % i for i in range(n)], dtype=np.object_),
        "decision_time_ms": np.full(n, T0),
        "depot": np.array([b"north"] * n, dtype=np.object_),
        "zone": np.full(n, 7),
        "weight": np.full(n, 0.5),
    }
    values |= {name: np.array(value, dtype=values[name].dtype) for name, value in changes.items()}
    return {name: value.reshape(-1, 1) for name, value in values.items()}


def raw(n: int = 1, **changes: Any) -> RawRequest:
    return RawRequest(lambda: "q", str, tensors(n, **changes).__getitem__)


def read(request: RawRequest, config: LoopConfig = CONFIG, now_ms: int = T0, newest_ms: int = 0) -> RequestRows:
    return read_request(request, config, now_ms, lambda: newest_ms, lambda: "the secret")


def sent(request_id: str = "q", parameters: Mapping[str, Any] = MappingProxyType({})) -> RawRequest:
    return RawRequest(lambda: request_id, lambda: json.dumps(dict(parameters)), tensors().__getitem__)


def test_a_request_is_read_in_order() -> None:
    rows = read(raw(2))
    assert (rows.keys, rows.decision_ms) == (["p0", "p1"], [T0, T0])
    assert rows.columns["depot"] == ["north", "north"]
    assert rows.columns["parcel_id"] == ["p0", "p1"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parcel_id": [b"a", b""]}, "key of row 1 is empty"),
        ({"parcel_id": [b"a", b"\xff"]}, "'parcel_id': a value is not UTF-8"),
        ({"depot": [b"\xff", b"a"]}, "'depot': a value is not UTF-8"),
        ({"depot": [b"x" * 1025, b"a"]}, "'depot': a value is longer than 1024 bytes"),
        ({"decision_time_ms": [0, T0]}, "'decision_time_ms': 0 in row 0"),
        ({"decision_time_ms": [T0, -5]}, "'decision_time_ms': -5 in row 1"),
        ({"decision_time_ms": [T0, T0 // 1000]}, "'decision_time_ms': 1700000000 in row 1 looks like seconds"),
        ({"decision_time_ms": [T0, T0 * 1000]}, "looks like microseconds; use milliseconds since the epoch"),
        ({"decision_time_ms": [T0, T0 * 10**6]}, "looks like nanoseconds"),
        ({"decision_time_ms": [T0, 2**63 - 1]}, "looks like nanoseconds"),
        (
            {"decision_time_ms": [T0, T0 + 3 * DAY_MS]},
            "in row 1 is more than max_advance (172800000 ms) after the clock",
        ),
        ({"parcel_id": [b"a", b"b\0"]}, "'parcel_id': a value has a NUL character"),
        ({"weight": [0.5, np.inf]}, "'weight': a value is infinite"),
        ({"weight": [-np.inf, 0.5]}, "'weight': a value is infinite"),
    ],
)
def test_a_bad_request_is_described(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match="input ") as caught:
        read(raw(2, **change))
    assert words in str(caught.value)


def test_a_clock_loop_decides_now() -> None:
    config = LoopConfig(**{**CONFIG.__dict__, "clock": "now"})
    assert read(raw(2), config, now_ms=T0 + 5).decision_ms == [T0 + 5, T0 + 5]


@pytest.mark.parametrize(("now_ms", "newest_ms"), [(T0 + DAY_MS, 0), (0, T0 + DAY_MS)])
def test_a_decision_may_be_ahead_of_the_clock_or_of_the_features(now_ms: int, newest_ms: int) -> None:
    """A live system's features may be old, and a replayed or simulated stream is far from the clock."""
    times = {"decision_time_ms": [T0 + 3 * DAY_MS]}
    assert read(raw(1, **times), now_ms=now_ms, newest_ms=newest_ms).decision_ms == [T0 + 3 * DAY_MS]
    with pytest.raises(BadRequest, match="after the clock"):
        read(raw(1, decision_time_ms=[T0 + 3 * DAY_MS + 1]), now_ms=now_ms, newest_ms=newest_ms)


def raise_not_utf8() -> str:
    return b"\xff".decode()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (sent("x" * 129), "request id: it has 129 characters; use at most 128"),
        (sent("x" * 2_700_000), "request id: it has 2700000 characters"),
        (sent("caf\u00e9"), "is not printable ASCII"),
        (sent("a\nb"), "is not printable ASCII"),
        (sent("a\0"), "is not printable ASCII"),
        (RawRequest(raise_not_utf8, str, tensors().__getitem__), "request id: it is not UTF-8"),
        (RawRequest(str, raise_not_utf8, tensors().__getitem__), "parameters: they are not a JSON object"),
        (RawRequest(str, lambda: "{", tensors().__getitem__), "parameters: they are not a JSON object"),
        (sent(parameters={MARKER: 1}), "the only value is 'probe'"),
        (sent(parameters={MARKER: True}), "the only value is 'probe'"),
        (sent(parameters={MARKER: "client"}), "the only value is 'probe'"),
        (sent(parameters={MARKER: PROBE}), "a probe needs this system's secret"),
        (sent(parameters={MARKER: PROBE, SECRET: "guess"}), "a probe needs this system's secret"),
        (sent(parameters={MARKER: PROBE, SECRET: 5}), "a probe needs this system's secret"),
        (sent(parameters={MARKER: PROBE, SECRET: "\u00e9"}), "a probe needs this system's secret"),
    ],
)
def test_a_bad_id_or_parameter_is_described(request_: RawRequest, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(request_)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


def test_ids_and_parameters_that_mean_nothing_here_are_accepted() -> None:
    assert read(sent("!" + "~" * 127, {"priority": 3, "anything": "else"})).request_id == "!" + "~" * 127
    assert not read(sent("")).probe


def test_a_request_with_the_secret_is_a_probe() -> None:
    assert read(sent(parameters={MARKER: PROBE, SECRET: "the secret"})).probe


def test_requests_are_concatenated_in_order() -> None:
    one, two = read(raw(1)), read(raw(2, weight=[1.0, np.nan]))
    batch = concatenate([one, two])
    assert batch.keys == ["p0", "p0", "p1"]
    np.testing.assert_array_equal(batch.numbers("weight"), [0.5, 1.0, np.nan])
    assert batch.decision_ms.tolist() == [T0] * 3

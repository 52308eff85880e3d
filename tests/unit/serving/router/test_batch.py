from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.serving.domain.loop_config import LoopConfig
from services.serving.domain.model_config import RouterPaths, loop_config
from services.serving.router.batch import BadRequest, RawRequest, concatenate, read_request
from tests.unit.serving.harness import DEFINITION, T0

CONFIG = loop_config(DEFINITION, RouterPaths(*[Path("/x")] * 4))


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
    return RawRequest("q", False, tensors(n, **changes).__getitem__)


def test_a_request_is_read_in_order() -> None:
    rows = read_request(raw(2), CONFIG, now_ms=1)
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
        ({"decision_time_ms": [T0, 10**15]}, "'decision_time_ms'"),
    ],
)
def test_a_bad_request_is_described(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match="input ") as caught:
        read_request(raw(2, **change), CONFIG, now_ms=1)
    assert words in str(caught.value)


def test_a_clock_loop_decides_now() -> None:
    config = LoopConfig(**{**CONFIG.__dict__, "clock": "now"})
    assert read_request(raw(2), config, now_ms=T0 + 5).decision_ms == [T0 + 5, T0 + 5]


def test_requests_are_concatenated_in_order() -> None:
    one, two = read_request(raw(1), CONFIG, 1), read_request(raw(2, weight=[1.0, np.nan]), CONFIG, 1)
    batch = concatenate([one, two])
    assert batch.keys == ["p0", "p0", "p1"]
    np.testing.assert_array_equal(batch.numbers("weight"), [0.5, 1.0, np.nan])
    assert batch.decision_ms.tolist() == [T0] * 3

from __future__ import annotations

import pytest

from services.training import metrics
from services.training.domain.state import RetrainState
from tests.unit.training.policies import policy


@pytest.mark.parametrize(("failures", "opened"), [(2, 0), (3, 1), (4, 1)])
def test_the_gauge_shows_the_open_breaker(failures: int, opened: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = []

    class FakeGauge:
        def set(self, value: float, *, loop: str) -> None:
            values.append((loop, value))

    monkeypatch.setattr(metrics, "BREAKER_OPEN", FakeGauge())
    metrics.set_gauges(RetrainState("shop", consecutive_failures=failures), policy())
    assert values == [("shop", opened)]

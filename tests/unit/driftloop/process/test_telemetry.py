from __future__ import annotations

import pytest

from driftloop.process.telemetry import Counter, Gauge, Histogram

COUNT = Counter("tested_label_check", "Things.", ("loop", "kind"))


def test_undeclared_labels_are_refused() -> None:
    COUNT.add(loop="orders", kind="a")
    with pytest.raises(ValueError, match=r"tested_label_check has the labels \('loop', 'kind'\); got \('loop',\)"):
        COUNT.add(loop="orders")
    with pytest.raises(ValueError, match="has the labels"):
        COUNT.add(loop="orders", kind="a", shop="delft")
    with pytest.raises(ValueError, match="has the labels"):
        Gauge("tested_gauge", "A value.").set(1, loop="orders")
    with pytest.raises(ValueError, match="has the labels"):
        Histogram("tested_histogram", "A time.", ("loop",)).record(1)


def test_a_declaration_is_plain_data() -> None:
    assert Counter("tested_label_check", "Things.", ("loop", "kind")) == COUNT
    assert hash(COUNT) == hash(Counter("tested_label_check", "Things.", ("loop", "kind")))

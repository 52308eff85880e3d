from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings

from services.features.domain.events import Arrived
from services.features.domain.loop_run import LoopRun
from services.features.domain.replay import replay
from tests.unit.features.rows import PAIRS, SHOPS, SPECS, Sale, batch
from tests.unit.features.test_engine import STEP, rows_of, run, streams


@settings(deadline=None, max_examples=30)
@given(streams())
def test_a_replay_gives_the_live_rows_at_every_watermark(steps: list[list[Sale]]) -> None:
    table = pa.Table.from_batches([batch(sale for step in steps for sale in step)])
    again = LoopRun("sales", SPECS, 2)
    watermarks = np.arange(1, len(steps) + 1) * STEP
    for live, replayed in zip(run(steps), replay(again, {"sale.made": table}, watermarks, 2), strict=True):
        assert replayed.late_seen == live.late_seen
        for spec in SPECS:
            assert rows_of(replayed, spec) == rows_of(live, spec)


def test_after_a_replay_pending_rows_are_added_once() -> None:
    sales = [Sale("a", 1, 10, 0, 1.0, 0), Sale("a", 1, STEP + 5, 0, 2.0, 1)]
    run_ = LoopRun("sales", SPECS, 1)
    table = pa.Table.from_batches([batch(sales)])
    assert [advance.rows for advance in replay(run_, {"sale.made": table}, np.array([STEP]), 1)] == [3]
    again = Arrived(batch([*sales, Sale("b", 1, STEP + 6, 0, 3.0, 2)]))
    run_.rows(0, again, dict.fromkeys((SHOPS, PAIRS), np.arange(3)))
    run_.watermark(0, STEP)
    run_.watermark(0, 2 * STEP)
    (advance,) = run_.advances()
    assert rows_of(advance, SPECS[0]) == {("a",): (2.0, 3.0, 2.0, 3.0), ("b",): (1.0, 3.0, 1.0, 3.0)}

"""SQLite, Redis and Redis Cluster behave alike, and hold what Feast reads."""

from __future__ import annotations

import subprocess
from contextlib import closing

import numpy as np
import pytest

from driftloop.process.settings import ROOT
from services.serving.domain.loop_config import OnlineSource
from tests.integration.online.conftest import EMPTY, LOOP, ROWS, SPEC, T0, VIEW, Store, advance, entities, request

pytestmark = pytest.mark.integration

KEYS = entities(ROWS)


def written(store: Store, *steps: tuple[int, int]) -> None:
    """Write rows of all keys at each watermark, from each seed."""
    with closing(store.writer()) as writer:
        for at_ms, seed in steps:
            writer.write(LOOP, [SPEC, EMPTY], advance(at_ms, KEYS, seed))


def test_a_thousand_keys_are_read_as_feast_reads_them(store: Store) -> None:
    written(store, (T0, 1), (T0 + 1000, 2))
    asked = [*KEYS[::2], *(("nowhere", n) for n in range(500))]
    rows = store.assert_equals_feast(asked)
    assert rows.watermark_ms == T0 + 1000
    np.testing.assert_array_equal(rows.numeric[:500, 0], advance(0, KEYS, 2).views[0].columns[0][::2])
    assert np.isnan(rows.numeric[500:]).all()


def test_an_empty_store_has_no_watermarks_keys_or_rows(store: Store) -> None:
    with closing(store.reader()) as reader:
        assert reader.watermarks() == {}
        assert reader.join_keys(VIEW) is None
        assert reader.read({VIEW: request(KEYS[:3])})[VIEW].watermark_ms is None
    with closing(store.writer()) as writer:
        assert dict(writer.watermarks(LOOP)) == {}


def test_watermarks_advance_without_rows_and_are_kept_by_loop(store: Store) -> None:
    with closing(store.reader()) as reader, closing(store.writer()) as writer:
        writer.write(LOOP, [SPEC, EMPTY], advance(T0, []))
        assert reader.watermarks() == {VIEW: T0, EMPTY.view: T0}
        writer.write("others", [SPEC], advance(T0 + 1, []))
        writer.write(LOOP, [SPEC], advance(T0 + 5, []))
        assert reader.watermarks() == {VIEW: T0 + 5, EMPTY.view: T0}
        assert dict(writer.watermarks("others")) == {VIEW: T0 + 1}


def test_join_keys_are_known_once_a_view_has_a_row(store: Store) -> None:
    with closing(store.reader()) as reader, closing(store.writer()) as writer:
        writer.write(LOOP, [SPEC, EMPTY], advance(T0, []))
        assert reader.join_keys(VIEW) is None
        writer.write(LOOP, [SPEC, EMPTY], advance(T0 + 1, KEYS[:1]))
        assert reader.join_keys(VIEW) == ("depot", "zone")
        assert reader.join_keys(EMPTY.view) is None


def test_a_write_is_visible_at_the_next_read(store: Store) -> None:
    with closing(store.reader()) as reader, closing(store.writer()) as writer:
        for step in range(3):
            rows = advance(T0 + step, KEYS[:5], step)
            assert writer.write(LOOP, [SPEC], rows) == 5
            read = reader.read({VIEW: request(KEYS[:5])})[VIEW]
            np.testing.assert_array_equal(read.numeric[:, 0], rows.views[0].columns[0])
            assert read.watermark_ms == T0 + step


def test_a_view_that_is_right_already_does_not_change(store: Store) -> None:
    written(store, (T0, 1))
    with closing(store.writer()) as writer:
        assert writer.write(LOOP, [SPEC], advance(T0, KEYS, 9)) == 0
        assert writer.write(LOOP, [SPEC], advance(T0 - 1, KEYS, 9)) == 0
    np.testing.assert_array_equal(store.read(KEYS).numeric[:, 0], advance(T0, KEYS, 1).views[0].columns[0])


def test_an_older_row_never_replaces_a_newer_one(store: Store) -> None:
    written(store, (T0 + 60_000, 1))
    with closing(store.writer()) as writer:
        writer.write("others", [SPEC], advance(T0, KEYS, 2))  # its watermark does not hold it back
    rows = store.assert_equals_feast(KEYS)
    np.testing.assert_array_equal(rows.numeric[:, 0], advance(0, KEYS, 1).views[0].columns[0])


def test_an_unchanged_row_keeps_its_time(store: Store) -> None:
    written(store, (T0, 1), (T0 + 60_000, 1))
    keys = request([*KEYS[:3], ("nowhere", 0)]).entity_keys
    with closing(store.reader()) as reader:
        assert reader.written_ms(VIEW, keys).tolist() == [T0, T0, T0, -1]
    with closing(store.writer()) as writer:
        writer.write(LOOP, [SPEC], advance(T0 + 120_000, KEYS, 2))
    with closing(store.reader()) as reader:
        assert reader.written_ms(VIEW, keys).tolist() == [*[T0 + 120_000] * 3, -1]


def test_the_environment_of_models_in_triton_reads_the_store(store: Store) -> None:
    written(store, (T0, 1))
    python = ROOT / ".local" / "triton" / "env" / "bin" / "python"
    source, found = OnlineSource(str(store.settings.online_db), store.settings.online_url), request(KEYS[:20])
    code = f"""
import sys
from services.serving.domain.loop_config import OnlineSource
from services.serving.router.online import ViewRequest
from services.serving.router.open_online import open_online

rows = open_online({source!r}, {LOOP!r}).read({{{VIEW!r}: {found!r}}})[{VIEW!r}]
print(rows.watermark_ms, rows.numeric[:, 0].sum().hex(), "redis" in sys.modules)
"""
    done = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = store.read(KEYS[:20]).numeric[:, 0].sum().hex()
    assert done.stdout.split() == [str(T0), wanted, str(store.settings.online_url != "")]


def test_a_new_process_continues_where_the_last_one_ended(store: Store) -> None:
    written(store, (T0, 1))
    written(store, (T0 + 1000, 2), (T0 + 2000, 3))
    assert store.assert_equals_feast(KEYS).watermark_ms == T0 + 2000

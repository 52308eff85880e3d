"""Definitions that are edited between two starts: what fits goes on, what does not leaves only its own loop out."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts.ingestion_pb2 import RowsAccepted
from driftloop.contracts.registry_pb2 import ChampionPromoted
from driftloop.contracts.topics import topic_of
from driftloop.contracts.training_pb2 import Bundle
from driftloop.events.arrow_rows import read_rows
from driftloop.process.settings import ROOT
from tests.e2e.faults.system import ORDERS, ORDERS_END_MS, FaultySystem
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1800)]

SHELVED = "shops.shelved"
FIELD = ("  double shelf_units = 4;\n", "  double shelf_units = 4;\n  double floor_units = 5;\n")
STEPS = "    - {stage: canary, share: 0.2, min_blocks: 3, max_blocks: 8}\n"
DERIVE = (
    "      shelf_units: {min: 0}\n",
    '      shelf_units: {min: 0}\n    derive:\n      dozens: "shelf_units / 12"\n',
)
RETYPED = ('dozens: "shelf_units / 12"', 'dozens: "CAST(shelf_units AS VARCHAR)"')
RENAMED = ('"orders_shop_lines"', '"orders_shop_sizes"')
RELEASE = "r-edited-steps"


def shelved(name: str, **more: Any) -> dict[str, Any]:
    return {"uid": name, "at_ms": ORDERS_END_MS, "shop": "ash", "shelf_units": 24.0, **more}


def row(faulty: FaultySystem, name: str) -> dict[str, Any]:
    """Return an event's row, once it is in the lake."""
    faulty.assert_stored(ORDERS, SHELVED, [name])
    [found] = [row for row in faulty.rows(ORDERS, SHELVED) if row["event_id"] == name]
    return found


def start(faulty: FaultySystem, *arguments: str, loops: tuple[str, ...] = ()) -> None:
    started = faulty.restart(*arguments, loops=loops)
    assert started.returncode == 0, started.stdout[-2000:] + started.stderr[-4000:]


def publish_verdict(faulty: FaultySystem, stage: str, step: int | None = None) -> None:
    """Publish a pass for a release with the champion's bundle."""
    champion = faulty.champion()
    data = evaluation.VerdictReached(
        loop=ORDERS, stage=stage, release_id=RELEASE, outcome=evaluation.BETTER, run_id="run-edited", step=step,
        bundle=Bundle(uri=champion.bundle.uri, digest=champion.bundle.digest), request_id="request-edited",
        reasons=["a test"], champion_release_id=champion.release_id,
    )  # fmt: skip
    faulty.publish("evaluation", data)


def sent_rows(faulty: FaultySystem) -> Counter[tuple[Any, ...]]:
    """Return how often each row of the event type was sent on, by join keys and source position."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for record in faulty.topic(topic_of(RowsAccepted).name):
        if record.header("ce_type") == RowsAccepted.DESCRIPTOR.full_name.encode():
            data = RowsAccepted.FromString(record.value or b"")
            if (data.loop, data.event_type) == (ORDERS, SHELVED):
                rows = read_rows(data.rows, data.num_rows).select(["source_partition", "source_offset"]).to_pylist()
                for entity in data.entities:
                    counts.update((*entity.join_keys, *rows[position].values()) for position in entity.positions)
    return counts


def test_added_columns_and_fewer_rollout_steps_take_effect_at_the_next_start(faulty: FaultySystem) -> None:
    faulty.send(SHELVED, shelved("before-the-edit", floor_units=3.0))
    row(faulty, "before-the-edit")
    publish_verdict(faulty, "offline")
    assert_eventually(lambda: faulty.loop_status()["stage"] == "shadow", 120.0, "the release is in shadow")
    publish_verdict(faulty, "shadow", 0)
    assert_eventually(lambda: faulty.loop_status()["stage"] == "canary", 120.0, "the release is in the last step")

    faulty.edit("protos/orders/v1/orders.proto", FIELD)
    faulty.edit("loop.yaml", DERIVE, (STEPS, ""))
    compiled = [sys.executable, "-m", "driftloop.loop.compile", str(faulty.settings.loops_dir / ORDERS)]
    subprocess.run(compiled, cwd=ROOT, check=True)
    start(faulty)
    assert faulty.status()["refused_loops"] == {}
    faulty.send(SHELVED, shelved("after-the-edit", floor_units=3.0))
    new, old = row(faulty, "after-the-edit"), row(faulty, "before-the-edit")
    assert (new["floor_units"], new["dozens"]) == (3.0, 2.0)
    assert (old["floor_units"], old["dozens"]) == (None, None)
    faulty.assert_goes_on("beside-added-columns")

    assert faulty.loop_status()["release"] == RELEASE
    publish_verdict(faulty, "canary", 1)
    assert_eventually(lambda: faulty.loop_status()["champion"] == RELEASE, 120.0, "the release is champion")
    loop = faulty.loop_status()
    assert_eventually(lambda: (loop := faulty.loop_status())["converged_epoch"] == loop["epoch"], 120.0)
    assert loop["release"] == ""


def test_a_column_of_another_type_leaves_its_loop_out_until_it_is_restored(faulty: FaultySystem) -> None:
    promoted = [event.data for event in faulty.events(ORDERS) if isinstance(event.data, ChampionPromoted)]
    former = promoted[-1].previous_release_id
    faulty.edit("loop.yaml", RETYPED)
    faulty.edit("orders.py", RENAMED)
    refused = faulty.restart()
    assert refused.returncode == 2
    definition = faulty.settings.loops_dir / ORDERS / "loop.yaml"
    line = next(number for number, text in enumerate(definition.read_text().splitlines(), 1) if "dozens:" in text)
    assert f"{definition}:{line}: {SHELVED}: " in refused.stderr
    assert f"{RELEASE} reads the view 'orders_shop_lines', which is no longer defined; keep it until" in refused.stderr
    assert f"a rollback restores {former}, so keep it until the next promotion" in refused.stderr
    faulty.edit("orders.py", (RENAMED[1], RENAMED[0]))

    started = faulty.restart("--no-check")
    assert started.returncode == 0, started.stderr[-4000:]
    assert f"{ORDERS} is left out until it is corrected: {definition}:{line}: " in started.stderr
    [problem] = faulty.status()["refused_loops"][ORDERS]
    assert problem.startswith(f"{definition}:{line}: {SHELVED}: ")
    assert f"{ORDERS} is left out" in faulty.line.run("status").stdout
    faulty.send(SHELVED, shelved("while-left-out"))
    faulty.assert_goes_on("beside-a-loop-that-is-left-out")
    assert "while-left-out" not in faulty.ids(ORDERS, SHELVED)

    faulty.edit("loop.yaml", (RETYPED[1], RETYPED[0]))
    start(faulty)
    assert row(faulty, "while-left-out")["dozens"] == 2.0
    assert faulty.status()["refused_loops"] == {}


def test_a_loop_left_out_for_one_start_goes_on_where_it_was(faulty: FaultySystem) -> None:
    faulty.send(SHELVED, shelved("before-it-is-left-out"))
    row(faulty, "before-it-is-left-out")
    before, log = sent_rows(faulty), faulty.settings.home / "logs" / "supervisor.log"
    start(faulty, loops=("cases",))
    faulty.send(SHELVED, shelved("meanwhile"))
    faulty.assert_goes_on("without-orders")
    assert "meanwhile" not in faulty.ids(ORDERS, SHELVED)

    read = len(log.read_text())
    start(faulty)
    row(faulty, "meanwhile")
    faulty.send(SHELVED, shelved("afterwards"))
    row(faulty, "afterwards")
    stored = Counter(faulty.ids(ORDERS, SHELVED))
    assert {name: number for name, number in stored.items() if number > 1} == {}
    added = sent_rows(faulty) - before
    assert (len(added), set(added.values())) == (2, {1}), "only the two new rows are sent on, once each"
    faulty.assert_goes_on("with-orders-again")
    assert all(part["ready"] for part in faulty.status()["parts"])
    started = log.read_text()[read:]
    assert [started.count(f"{name} started") for name in ("ingestion", "features", "monitoring", "serving")] == [1] * 4

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from driftloop.process.settings import ROOT, Settings
from services.training.run.remote import memory_kills
from services.training.spec import on_this_machine
from tests.unit.training.fakes import spec_in


def test_processes_that_the_kernel_killed_are_counted(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    assert memory_kills([str(events)]) == 0
    events.write_text("low 0\nhigh 0\nmax 41\noom 2\noom_kill 2\noom_group_kill 0\n")
    assert memory_kills([str(tmp_path / "missing"), str(events)]) == 2
    events.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert memory_kills([str(events)]) == 1


def test_a_spec_of_another_machine_gets_the_folders_of_this_one(tmp_path: Path) -> None:
    spec = replace(
        spec_in(Path("/elsewhere")), loop_folder="/elsewhere/loops/orders", store_url="s3://bucket/driftloop"
    )
    here = Settings(home=tmp_path, loops_dir=tmp_path / "loops", feature_repo=tmp_path / "features")
    local = on_this_machine(spec, here)
    assert local == replace(
        spec,
        loop_folder=str(tmp_path / "loops" / "orders"),
        home=str(tmp_path),
        feature_repo=str(tmp_path / "features"),
        folder=str(tmp_path / "training" / "orders" / "run-1"),
        bundle_folder=str(tmp_path / "bundles" / "orders" / "run-1"),
        environment_lock=str(ROOT / "requirements.lock"),
    )

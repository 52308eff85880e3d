from __future__ import annotations

from pathlib import Path

from driftloop.process.startup_errors import forget, read_refusals, refuse, withdraw


def test_what_processes_refuse_is_read_with_each_problem_once(tmp_path: Path) -> None:
    assert read_refusals(tmp_path) == []
    refuse(tmp_path, "features", "a.yaml:3: no\nb.yaml:1: no")
    refuse(tmp_path, "ingestion", "a.yaml:3: no")
    assert read_refusals(tmp_path) == ["a.yaml:3: no", "b.yaml:1: no"]


def test_a_process_that_is_started_again_withdraws_its_own(tmp_path: Path) -> None:
    refuse(tmp_path, "features", "one")
    refuse(tmp_path, "ingestion", "other")
    withdraw(tmp_path, "features")
    withdraw(tmp_path, "training")
    assert read_refusals(tmp_path) == ["other"]


def test_a_new_start_knows_none_of_the_last(tmp_path: Path) -> None:
    refuse(tmp_path, "features", "one")
    forget(tmp_path)
    assert read_refusals(tmp_path) == []

from __future__ import annotations

from pathlib import Path

from driftloop.process.startup_errors import (
    clear_all_startup_errors,
    clear_startup_errors,
    read_startup_errors,
    write_startup_errors,
)


def test_startup_errors_are_read_without_duplicates(tmp_path: Path) -> None:
    assert read_startup_errors(tmp_path) == []
    write_startup_errors(tmp_path, "features", "a.yaml:3: no\nb.yaml:1: no")
    write_startup_errors(tmp_path, "ingestion", "a.yaml:3: no")
    assert read_startup_errors(tmp_path) == ["a.yaml:3: no", "b.yaml:1: no"]


def test_a_restarted_process_clears_its_own_errors(tmp_path: Path) -> None:
    write_startup_errors(tmp_path, "features", "one")
    write_startup_errors(tmp_path, "ingestion", "other")
    clear_startup_errors(tmp_path, "features")
    clear_startup_errors(tmp_path, "training")
    assert read_startup_errors(tmp_path) == ["other"]


def test_a_new_start_clears_all_errors(tmp_path: Path) -> None:
    write_startup_errors(tmp_path, "features", "one")
    clear_all_startup_errors(tmp_path)
    assert read_startup_errors(tmp_path) == []

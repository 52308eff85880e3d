from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from driftloop.process.errors import ConfigError
from driftloop.process.secrets import read_secret, secret_file
from driftloop.process.settings import Settings
from driftloop.process.triton_control import CONTROL_SECRET


def test_each_home_has_its_own_token_which_stays_the_same(tmp_path: Path) -> None:
    tokens = [Settings(home=tmp_path / name).control_token() for name in ("one", "other", "one")]
    assert tokens[0] == tokens[2]
    assert tokens[0] != tokens[1]
    assert len(tokens[0]) >= 40


def test_a_token_that_was_set_is_used_and_no_file_is_written(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", triton_control_token="given")
    assert settings.control_token() == "given"
    assert not settings.home.exists()


def test_only_the_owner_can_read_a_secret(tmp_path: Path) -> None:
    read_secret(tmp_path, "any")
    path = secret_file(tmp_path, "any")
    assert [entry.stat().st_mode & 0o777 for entry in (path.parent, path)] == [0o700, 0o600]
    assert list(path.parent.iterdir()) == [path]
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"other accounts can read \S+/secrets/any: remove it"):
        read_secret(tmp_path, "any")


def test_processes_that_start_at_once_get_the_same_secret(tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def read(_: int) -> str:
        start.wait()
        return read_secret(tmp_path, CONTROL_SECRET)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(read, range(8)))) == 1


def test_a_secret_is_in_no_text_of_the_settings(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, triton_control_token="hush", state_url="postgresql://me:hush@db/{service}")
    assert "hush" not in f"{settings!r} {settings}"

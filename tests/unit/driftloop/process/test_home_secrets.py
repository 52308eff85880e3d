import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from driftloop.process.errors import ConfigError
from driftloop.process.home_secrets import read_secret


def test_a_secret_is_created_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secrets" / "probe"
    before = os.umask(0)
    try:
        secret = read_secret(path)
    finally:
        os.umask(before)
    assert len(secret) == 64
    assert read_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["probe"]


def test_two_homes_have_different_secrets(tmp_path: Path) -> None:
    assert read_secret(tmp_path / "a" / "probe") != read_secret(tmp_path / "b" / "probe")


def test_callers_that_create_it_at_once_get_the_same_secret(tmp_path: Path) -> None:
    path = tmp_path / "probe"
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: read_secret(path), range(64)))) == 1


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    read_secret(tmp_path / "any")
    (tmp_path / "any").chmod(0o640)
    with pytest.raises(ConfigError, match=r"other accounts can read \S+/any: remove it"):
        read_secret(tmp_path / "any")

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.process.private_files import keep_files_private, make_home_private


@pytest.fixture
def umask() -> Iterator[None]:
    former = os.umask(0o022)
    yield
    os.umask(former)


@pytest.mark.usefixtures("umask")
def test_new_files_are_for_their_owner_only(tmp_path: Path) -> None:
    keep_files_private()
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("folder", "file")] == [0o700, 0o600]


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("former", "then"), [(None, 0o700), (0o755, 0o700), (0o777, 0o700), (0o500, 0o500)])
def test_a_home_is_closed_to_other_accounts(tmp_path: Path, former: int | None, then: int) -> None:
    home = tmp_path / "above" / "home"
    if former is not None:
        home.mkdir(parents=True)
        home.chmod(former)
    make_home_private(home)
    assert home.stat().st_mode & 0o777 == then


def test_a_home_behind_a_link_is_closed_too(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    make_home_private(tmp_path / "home")
    assert (tmp_path / "disk").stat().st_mode & 0o777 == 0o700

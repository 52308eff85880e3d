from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.process.atomic_file import replace_file, replacing


@pytest.mark.parametrize(("content", "written"), [(b"\x00\xff", b"\x00\xff"), ("né", "né".encode())])
def test_the_content_of_the_file_is_replaced(tmp_path: Path, content: bytes | str, written: bytes) -> None:
    path = tmp_path / "folder" / "file"
    for _ in range(2):
        replace_file(path, content)
        assert path.read_bytes() == written
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("durable", [True, False])
def test_the_former_content_stays_until_the_new_one_is_complete(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    path.write_text("former")
    with replacing(path, durable=durable) as partial:
        partial.write_text("new")
        assert path.read_text() == "former"
    assert path.read_text() == "new"


def test_an_error_leaves_the_former_content_and_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("former")
    with pytest.raises(UnicodeEncodeError), replacing(path) as partial, partial.open("w", encoding="ascii") as file:
        file.write("né")
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]

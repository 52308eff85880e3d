"""Vendored files are unmodified, and each is listed in the README beside it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from driftloop.process.settings import ROOT
from driftloop.readmodel.page_components import FOLDER
from services.control.web.routes import STATIC

FOLDERS = [FOLDER / "vendor", ROOT / "tests" / "browser" / "vendor"]
ROW = re.compile(r"^\| `([^`]+)` .* `([0-9a-f]{64})` \|$", re.MULTILINE)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_a_vendored_file_is_unmodified_and_its_licence_is_kept(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    named = dict(ROW.findall(text))
    assert {path.name for path in folder.glob("*.js")} == set(named)
    for name, digest in named.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    licences = {path.name for path in folder.glob("*LICENSE*")}
    assert licences
    assert all(licence in text for licence in licences)


def test_the_page_names_no_other_server() -> None:
    own = [
        path
        for folder in (STATIC, FOLDER)
        for path in folder.rglob("*")
        if path.suffix in (".html", ".css", ".js") and path.parent.name != "vendor"
    ]
    assert own
    for path in own:
        assert not re.search(r"https?://|//cdn", path.read_text()), path

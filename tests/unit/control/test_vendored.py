"""Files of others are there as they came: each as its README says, and none that it does not name."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from driftloop.process.settings import ROOT
from services.control.web.routes import STATIC

FOLDERS = [STATIC / "vendor", ROOT / "tests" / "browser" / "vendor"]
ROW = re.compile(r"^\| `([^`]+)` .* `([0-9a-f]{64})` \|$", re.MULTILINE)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda each: each.parent.name)
def test_a_vendored_file_is_unmodified_and_its_licence_is_kept(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    named = dict(ROW.findall(text))
    assert {each.name for each in folder.glob("*.js")} == set(named)
    for name, digest in named.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    licences = {each.name for each in folder.glob("*LICENSE*")}
    assert licences
    assert all(each in text for each in licences)


def test_the_page_names_no_other_server() -> None:
    own = [
        each for each in STATIC.rglob("*") if each.suffix in (".html", ".css", ".js") and each.parent.name != "vendor"
    ]
    assert own
    for path in own:
        assert not re.search(r"https?://|//cdn", path.read_text()), path

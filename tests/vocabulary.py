"""Find words that must not come back: ``python -m tests.vocabulary`` prints ``file:line: word: use replacement``."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".yaml")
_SKIPPED = re.compile(
    r"\.(lock|png|svg|sql|xml|min\.js)$|_pb2|(^|/)vendor/|^LICENSE$|^tests/(vocabulary\.(py|yaml)|unit/test_vocabulary\.py)$"
)


def load_words(path: Path = LIST) -> dict[str, str]:
    """Return replacements by regular expression."""
    words: dict[str, str] = yaml.safe_load(path.read_text())["words"]
    return words


@cache
def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{words})(?![\w-])")


def find(text: str, words: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """Yield (line number, word, replacement) for each listed word in the text."""
    if not words or not _pattern("|".join(words)).search(text):  # as in most texts
        return
    patterns = [(_pattern(word), replacement) for word, replacement in words.items()]
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, replacement in patterns:
            for match in pattern.finditer(line):
                yield number, match[0], replacement


def check(root: Path = ROOT) -> list[str]:
    """Return a message for each listed word in the tracked text files below ``root``."""
    names = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split()
    words = load_words()
    return [
        f"{name}:{number}: {word}: use {replacement}"
        for name in names
        if not _SKIPPED.search(name) and (root / name).is_file()
        for number, word, replacement in find((root / name).read_text(errors="replace"), words)
    ]


def main() -> int:
    """Print the messages; return 1 if there are any."""
    messages = check()
    sys.stdout.writelines(f"{message}\n" for message in messages)
    return bool(messages)


if __name__ == "__main__":
    sys.exit(main())

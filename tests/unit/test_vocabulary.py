from __future__ import annotations

from pathlib import Path

from tests.vocabulary import find, load_words


def test_a_listed_word_is_reported_with_its_line_and_its_replacement() -> None:
    assert list(find("fine\nmended it anew\n", load_words())) == [
        (2, "mended", "fix, repair"),
        (2, "anew", "again"),
    ]


def test_a_word_inside_another_word_is_not_reported() -> None:
    assert not list(find("recommended, commendable, a_mended_b", load_words()))


def test_words_are_read_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text("words:\n  gizmos?: part\n")
    assert list(find("two gizmos", load_words(path))) == [(1, "gizmos", "part")]

from __future__ import annotations

import inspect
import re

from driftloop.process import errors


def _classes() -> dict[str, type[BaseException]]:
    found: list[tuple[str, type[BaseException]]] = inspect.getmembers(errors, inspect.isclass)
    return {name: each for name, each in found if each.__module__ == errors.__name__}


def _drawn() -> dict[str, str | None]:
    """Class to base as the docstring's tree draws them."""
    bases: dict[str, str | None] = {}
    way: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ([│ ]*)(?:[├└]── )?([A-Z]\w+)(?:  .*)?$", line)
        if match is None:
            continue
        depth = match.start(2)
        way = [each for each in way if each[0] < depth]
        bases[match[2]] = way[-1][1] if way else None
        way.append((depth, match[2]))
    return bases


def test_the_tree_shows_every_error_and_only_those() -> None:
    assert set(_drawn()) == set(_classes())


def test_the_tree_shows_what_each_error_derives_from() -> None:
    classes = _classes()
    for name, base in _drawn().items():
        assert classes[name].__base__ is (Exception if base is None else classes[base])


def test_every_error_is_a_driftloop_error() -> None:
    assert all(issubclass(each, errors.DriftloopError) for each in _classes().values())


def test_an_invalid_event_has_reason_and_detail() -> None:
    assert str(errors.InvalidEvent("range", "lines is 900")) == "range: lines is 900"
    assert str(errors.InvalidEvent("duplicate")) == "duplicate"


def test_a_wrong_definition_lists_one_problem_per_line() -> None:
    error = errors.LoopDefinitionError(["a:1: one", "a:2: two"])
    assert error.problems == ["a:1: one", "a:2: two"]
    assert str(error) == "a:1: one\na:2: two"

from __future__ import annotations

from itertools import permutations

import pytest

from driftloop.contracts import serving_pb2
from services.serving.domain.fleet import ALONE, Fleet


def reports(*results: tuple[str, bool]) -> list[serving_pb2.RouteReported]:
    return [serving_pb2.RouteReported(loop="orders", epoch=3, triton=name, serves=serves) for name, serves in results]


@pytest.mark.parametrize(
    ("tritons", "needed", "results", "expected"),
    [
        (2, 2, [("", True)], None),
        (2, 2, [("", True), ("two", True)], ("two", True)),
        (2, 2, [("", True), ("two", False)], ("two", False)),
        (2, 2, [("", False)], ("", False)),
        (2, 1, [("", False)], None),
        (2, 1, [("", False), ("two", False)], ("two", False)),
        (2, 1, [("", False), ("two", True)], ("two", True)),
        (3, 2, [("", True), ("two", False)], None),
        (3, 2, [("", True), ("two", False), ("three", True)], ("three", True)),
        (3, 2, [("", False), ("two", False)], ("two", False)),
        (2, 2, [("", True), ("", True)], None),
    ],
)
def test_a_route_is_decided_once_enough_serve_it_or_too_many_cannot(
    tritons: int, needed: int, results: list[tuple[str, bool]], expected: tuple[str, bool] | None
) -> None:
    deciding = Fleet(tritons, needed).deciding(reports(*results))
    assert (None if deciding is None else (deciding.triton, deciding.serves)) == expected


@pytest.mark.parametrize("needed", [1, 2, 3])
def test_every_order_decides_and_never_changes_the_decision(needed: int) -> None:
    fleet = Fleet(3, needed)
    for failing in range(4):
        for order in permutations([(str(number), number >= failing) for number in range(3)]):
            every = reports(*order)
            decisions = [fleet.deciding(every[:count]) for count in range(4)]
            made = [decision for decision in decisions if decision is not None]
            assert decisions[-1] is not None
            assert all(decision is made[0] for decision in made)
            assert made[0].serves == (3 - failing >= needed)


def test_a_triton_alone_needs_no_report() -> None:
    assert ALONE.is_alone
    assert not Fleet(2, 1).is_alone

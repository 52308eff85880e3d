import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.serving.domain.route import ReleaseOnRoute, Route, RouteStatus, is_newer, parse_route, parse_status
from services.serving.router.routes import RouteFollower
from services.serving.router.sessions import ReleaseError
from tests.helpers.eventually import assert_eventually

A, B, C, D = (ReleaseOnRoute(f"r-{name}", f"digest-{name}") for name in "abcd")
BROKEN = ReleaseOnRoute("r-broken", "x")


@dataclass
class Loader:
    """Records loads; refuses the broken release."""

    loaded: list[str] = field(default_factory=list)

    def __call__(self, ref: ReleaseOnRoute) -> str:
        if ref == BROKEN:
            raise ReleaseError(ref.release_id, "does not load")
        self.loaded.append(ref.release_id)
        return ref.release_id


def follower(folder: Path) -> tuple[RouteFollower[str], Loader]:
    loader = Loader()
    return RouteFollower(folder, "parcels", loader), loader


def announce(folder: Path, route: Route) -> None:
    partial = folder / "next"
    partial.write_bytes(route.to_json())
    partial.replace(folder / "parcels.json")


def follow(routes: RouteFollower[str], folder: Path, route: Route) -> RouteStatus:
    announce(folder, route)
    status = routes.refresh()
    assert status is not None
    assert status == parse_status((folder / "parcels.status.json").read_bytes())
    return status


def answering(routes: RouteFollower[str]) -> tuple[int, str, str | None]:
    assert routes.live is not None
    return routes.live.route.epoch, routes.live.champion, routes.live.challenger


def test_a_route_is_loaded_and_answers(tmp_path: Path) -> None:
    routes, _ = follower(tmp_path)
    assert routes.refresh() is None
    assert follow(routes, tmp_path, Route("parcels", 1, A, B, 0.1)) == RouteStatus(1, serving=1)
    assert answering(routes) == (1, "r-a", "r-b")


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    routes, _ = follower(tmp_path)
    follow(routes, tmp_path, Route("parcels", 1, A))
    assert routes.refresh() is None


def test_an_older_epoch_is_ignored(tmp_path: Path) -> None:
    routes, _ = follower(tmp_path)
    follow(routes, tmp_path, Route("parcels", 5, A))
    status = follow(routes, tmp_path, Route("parcels", 4, B))
    assert (status.error, status.serving) == ("epoch 4 is older than 5", 5)
    assert answering(routes) == (5, "r-a", None)


def test_kept_releases_are_not_loaded_again_and_the_previous_one_stays_loaded(tmp_path: Path) -> None:
    routes, loader = follower(tmp_path)
    follow(routes, tmp_path, Route("parcels", 1, A))
    follow(routes, tmp_path, Route("parcels", 2, A, B, 0.1))
    follow(routes, tmp_path, Route("parcels", 3, B))
    follow(routes, tmp_path, Route("parcels", 4, A))
    assert loader.loaded == ["r-a", "r-b"]
    follow(routes, tmp_path, Route("parcels", 5, C))
    follow(routes, tmp_path, Route("parcels", 6, D))
    follow(routes, tmp_path, Route("parcels", 7, A))
    assert loader.loaded == ["r-a", "r-b", "r-c", "r-d", "r-a"]


def test_the_current_route_answers_if_a_new_one_cannot_be_loaded(tmp_path: Path) -> None:
    routes, _ = follower(tmp_path)
    follow(routes, tmp_path, Route("parcels", 1, A))
    status = follow(routes, tmp_path, Route("parcels", 2, A, BROKEN, 0.5))
    assert status == RouteStatus(2, "does not load", "r-broken", serving=1)
    assert answering(routes) == (1, "r-a", None)


def test_the_previous_route_is_restored_under_its_epoch_after_a_refused_one(tmp_path: Path) -> None:
    routes, _ = follower(tmp_path)
    follow(routes, tmp_path, Route("parcels", 1, A))
    follow(routes, tmp_path, Route("parcels", 2, BROKEN))
    assert follow(routes, tmp_path, Route("parcels", 1, A, withdraws=2)) == RouteStatus(1, serving=1)


def test_a_route_that_answers_can_be_withdrawn(tmp_path: Path) -> None:
    routes, _ = follower(tmp_path)
    follow(routes, tmp_path, Route("parcels", 1, A))
    follow(routes, tmp_path, Route("parcels", 2, B))
    assert follow(routes, tmp_path, Route("parcels", 1, A, withdraws=2)).serving == 1
    assert answering(routes) == (1, "r-a", None)
    assert follow(routes, tmp_path, Route("parcels", 3, A)).serving == 3


def test_a_new_router_follows_a_route_that_withdrew_another(tmp_path: Path) -> None:
    routes, _ = follower(tmp_path)
    assert follow(routes, tmp_path, Route("parcels", 1, A, withdraws=2)).serving == 1


def test_an_invalid_route_file_changes_nothing(tmp_path: Path) -> None:
    routes, _ = follower(tmp_path)
    follow(routes, tmp_path, Route("parcels", 1, A))
    (tmp_path / "parcels.json").write_text('{"loop": "parcels"}')
    status = routes.refresh()
    assert status is not None
    assert "not a route" in status.error
    assert answering(routes) == (1, "r-a", None)


def test_a_thread_follows_the_file(tmp_path: Path) -> None:
    routes, _ = follower(tmp_path)
    announce(tmp_path, Route("parcels", 1, A))
    routes.start()
    try:
        status = tmp_path / "parcels.status.json"
        assert_eventually(status.exists)
    finally:
        routes.stop()
    assert answering(routes) == (1, "r-a", None)


epochs = st.integers(1, 30)


@given(epochs, st.none() | st.just(B), st.floats(0, 1), st.integers(0, 5), st.none() | st.just(B))
def test_a_route_round_trips_through_its_file(
    epoch: int, challenger: ReleaseOnRoute | None, share: float, withdraws: int, rollback_to: ReleaseOnRoute | None
) -> None:
    route = Route("parcels", epoch, A, challenger, share, withdraws, rollback_to)
    assert parse_route(route.to_json()) == route


def test_a_route_of_another_format_is_refused() -> None:
    content = json.loads(Route("parcels", 1, A).to_json())
    assert content.pop("format") == 1
    assert parse_route(json.dumps(content).encode()) == Route("parcels", 1, A)  # the first format had no such field
    del content["rollback_to"]
    assert parse_route(json.dumps(content).encode()) == Route("parcels", 1, A)  # nor did earlier files have this one
    with pytest.raises(ValueError, match="the route has format 2; this version reads 1"):
        parse_route(json.dumps({**content, "format": 2}).encode())


@given(st.lists(epochs, min_size=1))
def test_without_withdrawals_epochs_only_increase(offered: list[int]) -> None:
    serving = 0
    for epoch in offered:
        before = serving
        if is_newer(replace(Route("parcels", 1, A), epoch=epoch), serving, serving):
            serving = epoch
        assert serving == max(before, epoch)

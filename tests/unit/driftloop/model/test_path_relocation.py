from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.model.path_relocation import path_resolver, record_relocation, relocated_homes
from driftloop.process.errors import BundleError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that was in two other folders before."""
    folder = tmp_path / "now"
    folder.mkdir()
    record_relocation(folder, ["/srv/first", "/srv/second"])
    return folder


@pytest.mark.parametrize(
    "uri",
    ["/srv/first/bundles/orders/run-1", "/srv/second/bundles/orders/run-1", "file:///srv/first/bundles/orders/run-1"],
)
def test_a_path_in_a_former_home_is_read_in_the_current_one(home: Path, uri: str) -> None:
    assert path_resolver(home)(uri) == home.resolve() / "bundles" / "orders" / "run-1"


@pytest.mark.parametrize("path", ["/srv/firsthand/run-1", "/mnt/shared/run-1", "lake/orders/events/orders.placed"])
def test_a_path_outside_former_homes_is_unchanged(home: Path, path: str) -> None:
    assert path_resolver(home)(path) == Path(path)


def test_a_home_back_in_a_former_folder_reads_its_own_files(home: Path) -> None:
    record_relocation(home, [str(home), str(home.parent)])
    assert path_resolver(home)(str(home / "bundles")) == home / "bundles"


def test_a_former_home_is_recorded_once(home: Path) -> None:
    record_relocation(home, ["/srv/second", "/srv/third"])
    assert relocated_homes(home) == (Path("/srv/first"), Path("/srv/second"), Path("/srv/third"))


def test_a_home_that_was_never_restored_has_no_former_homes(tmp_path: Path) -> None:
    assert relocated_homes(tmp_path) == ()


def test_a_remote_uri_is_refused(home: Path) -> None:
    with pytest.raises(BundleError, match="only local files can be read"):
        path_resolver(home)("s3://bucket/bundles/run-1")

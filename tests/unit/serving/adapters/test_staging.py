from pathlib import Path

import pytest

from driftloop.process.errors import BundleError
from services.serving.adapters.staging import FolderReleases
from tests.unit.serving.harness import CATEGORICAL, NUMERIC, write_release


def test_a_bundle_is_copied_completely_and_once(tmp_path: Path) -> None:
    reference = write_release(tmp_path, "r-1", 0.0)
    releases = FolderReleases(tmp_path / "releases")
    staged = releases.stage("r-1", reference.bundle.uri, reference.bundle.digest)
    assert sorted(path.name for path in staged.folder.iterdir()) == [
        "golden.npz",
        "manifest.json",
        "model.onnx",
        "reference.json",
    ]
    changed = (staged.folder / "model.onnx").stat().st_mtime_ns
    again = releases.stage("r-1", "/the/source/is/gone", reference.bundle.digest)
    assert (again.digest, (again.folder / "model.onnx").stat().st_mtime_ns) == (reference.bundle.digest, changed)
    assert [path.name for path in (tmp_path / "releases").iterdir()] == ["r-1"]


def test_a_file_uri_is_accepted(tmp_path: Path) -> None:
    reference = write_release(tmp_path, "r-1", 0.0)
    FolderReleases(tmp_path / "releases").stage("r-1", f"file://{reference.bundle.uri}", reference.bundle.digest)


def test_a_changed_source_is_refused_and_nothing_is_staged(tmp_path: Path) -> None:
    reference = write_release(tmp_path, "r-1", 0.0)
    (Path(reference.bundle.uri) / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match="sha256"):
        FolderReleases(tmp_path / "releases").stage("r-1", reference.bundle.uri, reference.bundle.digest)
    assert not (tmp_path / "releases" / "r-1").exists()


def test_a_staged_copy_that_was_changed_is_replaced(tmp_path: Path) -> None:
    reference = write_release(tmp_path, "r-1", 0.0)
    releases = FolderReleases(tmp_path / "releases")
    staged = releases.stage("r-1", reference.bundle.uri, reference.bundle.digest)
    (staged.folder / "model.onnx").write_bytes(b"other")
    again = releases.stage("r-1", reference.bundle.uri, reference.bundle.digest)
    assert again.read("model.onnx")


def test_a_probe_uses_the_first_golden_row(tmp_path: Path) -> None:
    reference = write_release(tmp_path, "r-1", 0.0)
    releases = FolderReleases(tmp_path / "releases")
    golden = releases.golden_row(releases.stage("r-1", reference.bundle.uri, reference.bundle.digest))
    assert (golden.numeric.shape, golden.categorical.shape) == ((len(NUMERIC),), (len(CATEGORICAL),))

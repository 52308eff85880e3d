from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from driftloop.model.bundle import MANIFEST, MODEL, Bundle, Input, Manifest, open_bundle, parse_manifest, write_bundle
from driftloop.process.errors import BundleError
from driftloop.process.settings import ROOT

FILES = {MODEL: b"a model", "reference.json": b"{}", "empty": b""}
MANIFEST_FIELDS = Manifest(
    loop="orders",
    run_id="run-1",
    label_kind="count",
    feature_service="orders_v1",
    numeric=(
        Input("lines", "request", "double"),
        Input("orders_shop__n_86400s", "feature", "double", "orders_shop", "n"),
    ),
    categorical=(Input("channel", "request", "string"),),
    training={"seed": 7, "lake_versions": {"orders.placed": 3}},
)


def _written(folder: Path) -> Bundle:
    return open_bundle(folder, write_bundle(folder, MANIFEST_FIELDS, FILES))


def test_a_bundle_is_opened_as_written(tmp_path: Path) -> None:
    bundle = _written(tmp_path / "bundle")
    assert {name: bundle.read(name) for name in FILES} == FILES
    assert bundle.manifest.numeric == MANIFEST_FIELDS.numeric
    assert bundle.manifest.categorical == MANIFEST_FIELDS.categorical
    assert bundle.manifest.training == MANIFEST_FIELDS.training
    assert {name: file.size for name, file in bundle.manifest.files.items()} == {k: len(v) for k, v in FILES.items()}


def test_equal_content_has_an_equal_digest_in_any_folder(tmp_path: Path) -> None:
    digest = write_bundle(tmp_path / "one", MANIFEST_FIELDS, FILES)
    assert write_bundle(tmp_path / "two", MANIFEST_FIELDS, dict(reversed(FILES.items()))) == digest
    assert write_bundle(tmp_path / "three", MANIFEST_FIELDS, {**FILES, "empty": b"x"}) != digest


def test_writing_a_bundle_again_changes_nothing(tmp_path: Path) -> None:
    digest = write_bundle(tmp_path, MANIFEST_FIELDS, FILES)
    assert write_bundle(tmp_path, MANIFEST_FIELDS, FILES) == digest
    open_bundle(tmp_path, digest)


@pytest.mark.parametrize("name", list(FILES))
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    digest = _written(tmp_path).digest
    (tmp_path / name).write_bytes(FILES[name] + b"!")
    with pytest.raises(BundleError, match=f"{name}: sha256 is"):
        open_bundle(tmp_path, digest)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    digest = _written(tmp_path).digest
    (tmp_path / MODEL).unlink()
    with pytest.raises(BundleError, match=MODEL):
        open_bundle(tmp_path, digest)


def test_a_changed_manifest_is_refused_even_if_it_matches_the_files(tmp_path: Path) -> None:
    digest = _written(tmp_path).digest
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["run_id"] = "run-2"
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=f"manifest.json: sha256 is .* the release says {digest}"):
        open_bundle(tmp_path, digest)


def test_a_file_that_changed_after_opening_is_refused(tmp_path: Path) -> None:
    bundle = _written(tmp_path)
    (tmp_path / MODEL).write_bytes(b"another model")
    with pytest.raises(BundleError, match=MODEL):
        bundle.read(MODEL)


def test_a_file_that_is_not_in_the_manifest_cannot_be_read(tmp_path: Path) -> None:
    bundle = _written(tmp_path)
    (tmp_path / "extra").write_bytes(b"x")
    with pytest.raises(BundleError, match="the bundle has no extra"):
        bundle.read("extra")


@pytest.mark.parametrize("name", ["../outside", "/absolute", "below/it", ".hidden", "..", "", MANIFEST])
def test_a_name_that_is_not_plain_is_refused_by_writer_and_reader(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="not a plain file name"):
        write_bundle(tmp_path / "bundle", MANIFEST_FIELDS, {name: b"x"})
    digest = _written(tmp_path / "forged").digest
    manifest = (tmp_path / "forged" / MANIFEST).read_bytes().replace(f'"{MODEL}"'.encode(), json.dumps(name).encode())
    (tmp_path / "forged" / MANIFEST).write_bytes(manifest)
    forged = hashlib.sha256(manifest).hexdigest()
    assert forged != digest
    with pytest.raises(BundleError, match="not a plain file name"):
        open_bundle(tmp_path / "forged", forged)


def test_a_missing_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest.json: No such file"):
        open_bundle(tmp_path / "nowhere", "0" * 64)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"not json", b'{"format": 2}', b'{"format": 1}', b"null", b'{"format": 1, "numeric": 3}'],
)
def test_an_invalid_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError):
        parse_manifest(content)


def test_an_unknown_key_in_a_manifest_is_refused() -> None:
    data = json.loads(MANIFEST_FIELDS.to_json())
    with pytest.raises(BundleError, match="not a manifest"):
        parse_manifest(json.dumps({**data, "pickle": "model.pkl"}).encode())


def test_the_input_digest_depends_on_names_and_order_only() -> None:
    swapped = replace(MANIFEST_FIELDS, numeric=tuple(reversed(MANIFEST_FIELDS.numeric)))
    assert replace(MANIFEST_FIELDS, run_id="other").input_digest == MANIFEST_FIELDS.input_digest
    assert swapped.input_digest != MANIFEST_FIELDS.input_digest
    moved = replace(MANIFEST_FIELDS, numeric=(*MANIFEST_FIELDS.numeric, *MANIFEST_FIELDS.categorical), categorical=())
    assert moved.input_digest != MANIFEST_FIELDS.input_digest


def test_the_module_needs_only_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import driftloop.model.bundle; "
        "print(*sorted(set(sys.modules) - before))"
    )
    process = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    foreign = {name.split(".")[0] for name in process.stdout.split()} - set(sys.stdlib_module_names)
    assert foreign == {"driftloop"}


def test_a_manifest_without_classes_has_no_classes_field() -> None:
    assert b"classes" not in MANIFEST_FIELDS.to_json()
    assert parse_manifest(MANIFEST_FIELDS.to_json()).classes == ()
    of_classes = replace(MANIFEST_FIELDS, label_kind="multiclass", classes=("few", "many"))
    assert parse_manifest(of_classes.to_json()) == of_classes

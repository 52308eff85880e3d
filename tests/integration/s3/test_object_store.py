from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from obstore.store import from_url

from driftloop.model.bundle import MANIFEST, Manifest, open_bundle, write_bundle
from driftloop.model.path_relocation import path_resolver
from driftloop.process.errors import BundleError, ConfigError, Retriable
from driftloop.process.object_store import (
    ObjectError,
    RemoteFolder,
    download_file,
    folder_of,
    read_file,
    require_conditional_puts,
    upload_file,
    upload_folder,
    write_file,
)
from tests.helpers.ports import free_ports
from tests.helpers.s3 import BUCKET, S3

pytestmark = [pytest.mark.integration]

DELETED = b"<DeleteResult><Deleted><Key>key</Key></Deleted></DeleteResult>"
MANIFEST_OF_A_RUN = Manifest(
    loop="orders", run_id="run-1", label_kind="count", feature_service="s", numeric=(), categorical=(), training={}
)


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[Path, str]:
    """A bundle on disk, and its digest."""
    folder = tmp_path / "packed"
    return folder, write_bundle(folder, MANIFEST_OF_A_RUN, {"model.onnx": b"weights", "golden.npz": b"rows"})


def overwrite(url: str, content: bytes) -> None:
    """Replace an object behind the back of its readers."""
    from_url(f"s3://{BUCKET}").put(url.removeprefix(f"s3://{BUCKET}/"), content)


def test_a_folder_exists_once_it_has_an_object(folder: RemoteFolder, tmp_path: Path) -> None:
    assert not folder.exists()
    (tmp_path / "a").write_bytes(b"a")
    upload_file(tmp_path / "a", folder / "below", ".txt")
    assert folder.exists()
    assert not RemoteFolder(f"{folder}/bel").exists()


def test_a_file_is_replaced_and_read_under_its_name(folder: RemoteFolder) -> None:
    assert read_file(folder, "spec.json") is None
    for content in (b"first", b"second"):
        write_file(folder, "spec.json", content)
        assert read_file(folder, "spec.json") == content
    assert folder_of(f"{folder}/spec.json") == (folder, "spec.json")


def test_a_file_is_stored_under_its_digest_and_read_back(folder: RemoteFolder, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    url = upload_file(tmp_path / "a", folder / "files", ".bin")
    assert url == f"{folder}/files/{hashlib.sha256(b'content').hexdigest()}.bin"
    assert upload_file(tmp_path / "a", folder / "files", ".bin") == url
    assert download_file(url, tmp_path / "cache").read_bytes() == b"content"


@pytest.mark.parametrize("content", [b"", b"conten", b"content!"])
def test_a_file_with_other_content_is_refused_and_not_kept(
    folder: RemoteFolder, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a").write_bytes(b"content")
    url = upload_file(tmp_path / "a", folder, ".bin")
    overwrite(url, content)
    with pytest.raises(ObjectError, match="not what the name says"):
        download_file(url, tmp_path / "cache")
    overwrite(url, b"content")
    assert download_file(url, tmp_path / "cache").read_bytes() == b"content"


def test_a_bundle_is_resolved_to_a_local_copy_that_outlives_the_bucket(
    folder: RemoteFolder, tmp_path: Path, bundle: tuple[Path, str]
) -> None:
    packed, digest = bundle
    url = upload_folder(packed, ["model.onnx", "golden.npz", MANIFEST], folder / "bundles" / digest)
    resolve_path = path_resolver(tmp_path / "home", str(folder))
    copy = resolve_path(url)
    assert open_bundle(copy, digest).read("model.onnx") == b"weights"
    overwrite(f"{url}/model.onnx", b"others")
    assert resolve_path(url) == copy
    assert open_bundle(copy, digest).read("model.onnx") == b"weights"


@pytest.mark.parametrize("name", ["model.onnx", MANIFEST])
def test_a_damaged_bundle_is_refused(folder: RemoteFolder, tmp_path: Path, bundle: tuple[Path, str], name: str) -> None:
    packed, digest = bundle
    url = upload_folder(packed, ["model.onnx", "golden.npz", MANIFEST], folder / "bundles" / digest)
    overwrite(f"{url}/{name}", b"damaged")
    with pytest.raises(BundleError):
        open_bundle(path_resolver(tmp_path / "home", str(folder))(url), digest)


def test_a_bundle_whose_upload_did_not_end_is_refused(
    folder: RemoteFolder, tmp_path: Path, bundle: tuple[Path, str]
) -> None:
    packed, _ = bundle
    url = upload_folder(packed, ["model.onnx"], folder / "bundles" / "half")
    with pytest.raises(BundleError, match=MANIFEST):
        path_resolver(tmp_path / "home", str(folder))(url)


def test_a_bundle_outside_of_the_store_is_refused(
    folder: RemoteFolder, tmp_path: Path, bundle: tuple[Path, str]
) -> None:
    packed, digest = bundle
    url = upload_folder(packed, ["model.onnx", "golden.npz", MANIFEST], folder / "bundles" / digest)
    for store_url in ("", str(folder / "bun"), str(folder / "other")):
        with pytest.raises(BundleError, match="only local files"):
            path_resolver(tmp_path / "home", store_url)(url)


def test_a_repeated_upload_replaces_nothing(folder: RemoteFolder, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"first")
    upload_folder(tmp_path, ["a"], folder)
    (tmp_path / "a").write_bytes(b"second")
    upload_folder(tmp_path, ["a"], folder)
    store = from_url(f"s3://{BUCKET}")
    assert bytes(store.get(f"{folder}/a".removeprefix(f"s3://{BUCKET}/")).bytes()) == b"first"


def test_a_missing_object_is_an_error_that_names_it(folder: RemoteFolder, tmp_path: Path) -> None:
    url = f"{folder}/{'0' * 64}.onnx"
    with pytest.raises(ObjectError, match=url):
        download_file(url, tmp_path)


def test_a_server_with_conditional_puts_is_accepted(folder: RemoteFolder) -> None:
    require_conditional_puts(folder)
    assert not folder.exists()


def test_a_local_folder_is_accepted(tmp_path: Path) -> None:
    require_conditional_puts(tmp_path)


@contextmanager
def server_that_answers(status: HTTPStatus, s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteFolder]:
    """Answer every request with this status."""
    assert s3.pid

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("ETag", '"1"')
            body = DELETED if self.command == "POST" else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_DELETE = do_GET = do_POST = _answer  # noqa: N815  # the names of the base class

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    try:
        yield RemoteFolder(f"s3://answers-{status}/folder")
    finally:
        server.shutdown()
        server.server_close()


def test_a_server_that_ignores_conditional_puts_is_refused(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        server_that_answers(HTTPStatus.OK, s3, monkeypatch) as folder,
        pytest.raises(ConfigError, match="ignores `If-None-Match`"),
    ):
        require_conditional_puts(folder)


def test_refused_credentials_are_reported(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        server_that_answers(HTTPStatus.FORBIDDEN, s3, monkeypatch) as folder,
        pytest.raises(ConfigError, match="AWS_ACCESS_KEY_ID"),
    ):
        require_conditional_puts(folder)


def test_a_server_that_does_not_answer_is_retriable(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3.pid
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(Retriable, match="s3://nobody/folder"):
        RemoteFolder("s3://nobody/folder").exists()

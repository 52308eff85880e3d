"""The bundle: a release's files and the manifest that seals them.

``manifest.json`` names every other file with its sha256 and size; the bundle's digest is the sha256 of
``manifest.json``. The router's small environment imports this module: it uses the standard library alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlparse

from driftloop.process.atomic_file import replace_file
from driftloop.process.errors import BundleError

FORMAT = 1
MANIFEST = "manifest.json"
MODEL = "model.onnx"
REFERENCE = "reference.json"
GOLDEN = "golden.npz"


@dataclass(frozen=True)
class Input:
    """One model input, in the order of its matrix."""

    name: str
    """``<view>__<feature>``, or the request input's own name."""
    source: Literal["feature", "request"]
    dtype: Literal["double", "string"]
    view: str = ""
    feature: str = ""


@dataclass(frozen=True)
class FileDigest:
    """A file's content."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What a bundle is."""

    loop: str
    run_id: str
    label_kind: Literal["binary", "regression", "count", "multiclass"]
    feature_service: str
    numeric: tuple[Input, ...]
    """Columns of the model's ``numeric`` input, float64 [n, F]."""
    categorical: tuple[Input, ...]
    """Columns of its ``categorical`` input, string [n, C]."""
    training: Mapping[str, Any]
    """Code digest, lake versions, data digest, seed, environment digest, window: strings, numbers and maps of them."""
    files: Mapping[str, FileDigest] = field(default_factory=dict)
    format: int = FORMAT
    classes: tuple[str, ...] = ()
    """Names of the K classes, in the order of the columns of ``score``; only of a multiclass release."""

    def to_json(self) -> bytes:
        """Canonical bytes: sorted keys, no white space, so that equal manifests have equal digests."""
        data = asdict(self)
        if not self.classes:
            del data["classes"]  # a release of one score keeps the manifest that it had before there were classes
        return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()

    @property
    def input_digest(self) -> str:
        """sha256 (hex) of the ordered input names: which columns a logged prediction holds."""
        names = [[each.name for each in self.numeric], [each.name for each in self.categorical]]
        return hashlib.sha256(json.dumps(names, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk."""

    folder: Path
    manifest: Manifest
    digest: str

    def read(self, name: str) -> bytes:
        """A file's bytes, checked against its digest again.

        Raises:
            BundleError: the bundle has no such file, or it changed.
        """
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder}: no {name} in this bundle")
        return _checked(self.folder / name, self.manifest.files[name])


def write_bundle(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> str:
    """Write ``files`` and the manifest that names them, the manifest last; returns the bundle's digest (hex).

    Raises:
        BundleError: a name is not a plain file name; nothing was written.
    """
    for name in files:
        _check_name(folder, name)
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name, content in sorted(files.items()):
        (folder / name).write_bytes(content)
        digests[name] = FileDigest(hashlib.sha256(content).hexdigest(), len(content))
    sealed = Manifest(**{**manifest.__dict__, "files": digests})
    content = sealed.to_json()
    replace_file(folder / MANIFEST, content)
    return hashlib.sha256(content).hexdigest()


def open_bundle(folder: Path, digest: str) -> Bundle:
    """Open a bundle whose manifest must have this digest (hex), and verify every file.

    Raises:
        BundleError: the manifest or a file is missing, or differs.
    """
    content = _read(folder / MANIFEST)
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise BundleError(f"{folder / MANIFEST}: sha256 is {found}, the release says {digest}")
    manifest = parse_manifest(content)
    for name, expected in manifest.files.items():
        _check_name(folder, name)
        _checked(folder / name, expected)
    return Bundle(folder, manifest, digest)


def local_path(uri: str) -> Path:
    """The path of a ``file:`` URI or of a plain path.

    Raises:
        BundleError: another scheme.
    """
    parsed = urlparse(uri)
    if parsed.scheme not in ("", "file"):
        raise BundleError(f"{uri}: only files of this machine can be read")
    return Path(unquote(parsed.path) if parsed.scheme else uri)


def parse_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        BundleError: it is not one of this format.
    """
    try:
        data = json.loads(content)
        if data.get("format") != FORMAT:
            raise BundleError(f"bundle format {data.get('format')!r}; this version reads {FORMAT}")
        data["numeric"] = tuple(Input(**each) for each in data["numeric"])
        data["categorical"] = tuple(Input(**each) for each in data["categorical"])
        data["classes"] = tuple(data.get("classes", ()))
        data["files"] = {name: FileDigest(**each) for name, each in data["files"].items()}
        return Manifest(**data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"not a manifest: {error}") from error


def _check_name(folder: Path, name: str) -> None:
    if not name or "/" in name or name.startswith(".") or name == MANIFEST:
        raise BundleError(f"{folder}: {name!r} is not a plain file name of a bundle's file")


def _checked(path: Path, expected: FileDigest) -> bytes:
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != expected.sha256:
        raise BundleError(f"{path}: sha256 is {found}, the manifest says {expected.sha256}")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error

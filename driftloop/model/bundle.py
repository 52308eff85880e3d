"""The bundle: a release's files and the manifest that seals them.

``manifest.json`` lists every other file with its sha256 and size. The bundle's digest is the sha256 of
``manifest.json``. The router's small environment imports this module, so it uses only the standard library.
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
    """One model input. Inputs are ordered like the columns of their matrix."""

    name: str
    """``<view>__<feature>``, or the name of the request input."""
    source: Literal["feature", "request"]
    dtype: Literal["double", "string"]
    view: str = ""
    feature: str = ""


@dataclass(frozen=True)
class FileDigest:
    """The digest and size of a file."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """The description of a bundle."""

    loop: str
    run_id: str
    label_kind: Literal["binary", "regression", "count", "multiclass"]
    feature_service: str
    numeric: tuple[Input, ...]
    """Columns of the model's ``numeric`` input, float64 [n, F]."""
    categorical: tuple[Input, ...]
    """Columns of the model's ``categorical`` input, string [n, C]."""
    training: Mapping[str, Any]
    """Code digest, lake versions, data digest, seed, environment digest, window: strings, numbers and maps of them."""
    files: Mapping[str, FileDigest] = field(default_factory=dict)
    format: int = FORMAT
    classes: tuple[str, ...] = ()
    """Names of the K classes, in the order of the columns of ``score``; only for a multiclass label."""

    def to_json(self) -> bytes:
        """Return canonical bytes: sorted keys, no white space. Equal manifests have equal digests."""
        data = asdict(self)
        if not self.classes:
            del data["classes"]  # keeps the digests of manifests that were written before classes existed
        return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()

    @property
    def input_digest(self) -> str:
        """sha256 (hex) of the ordered input names. It identifies the columns of a logged prediction."""
        names = [[column.name for column in columns] for columns in (self.numeric, self.categorical)]
        return hashlib.sha256(json.dumps(names, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk."""

    folder: Path
    manifest: Manifest
    digest: str

    def read(self, name: str) -> bytes:
        """Return a file's bytes, verified again.

        Raises:
            BundleError: the bundle has no such file, or the file changed.
        """
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder}: the bundle has no {name}")
        return _read_verified(self.folder / name, self.manifest.files[name])


def write_bundle(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> str:
    """Write ``files``, then the manifest that lists them; return the bundle's digest (hex).

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
    """Open the bundle whose manifest has this digest (hex), and verify every file.

    Raises:
        BundleError: the manifest or a file is missing, or differs.
    """
    content = _read(folder / MANIFEST)
    actual = hashlib.sha256(content).hexdigest()
    if actual != digest:
        raise BundleError(f"{folder / MANIFEST}: sha256 is {actual}, the release says {digest}")
    manifest = parse_manifest(content)
    for name, expected in manifest.files.items():
        _check_name(folder, name)
        _read_verified(folder / name, expected)
    return Bundle(folder, manifest, digest)


def local_path(uri: str) -> Path:
    """Return the path of a ``file:`` URI or a plain path.

    Raises:
        BundleError: the URI has another scheme.
    """
    parsed = urlparse(uri)
    if parsed.scheme not in ("", "file"):
        raise BundleError(f"{uri}: only local files can be read; use a path or a file: URI")
    return Path(unquote(parsed.path) if parsed.scheme else uri)


def parse_manifest(content: bytes) -> Manifest:
    """Parse a manifest.

    Raises:
        BundleError: the content is not a manifest of this format.
    """
    try:
        data = json.loads(content)
        if data.get("format") != FORMAT:
            raise BundleError(f"bundle format {data.get('format')!r}; this version reads {FORMAT}")
        data["numeric"] = tuple(Input(**fields) for fields in data["numeric"])
        data["categorical"] = tuple(Input(**fields) for fields in data["categorical"])
        data["classes"] = tuple(data.get("classes", ()))
        data["files"] = {name: FileDigest(**fields) for name, fields in data["files"].items()}
        return Manifest(**data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"not a manifest: {error}") from error


def _check_name(folder: Path, name: str) -> None:
    if not name or "/" in name or name.startswith(".") or name == MANIFEST:
        raise BundleError(f"{folder}: {name!r} is not a plain file name")


def _read_verified(path: Path, expected: FileDigest) -> bytes:
    content = _read(path)
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected.sha256:
        raise BundleError(f"{path}: sha256 is {actual}, the manifest says {expected.sha256}")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error

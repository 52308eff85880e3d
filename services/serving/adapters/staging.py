"""Copies verified bundles to where the router loads them."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np

from driftloop.model.bundle import GOLDEN, MANIFEST, Bundle, local_path, open_bundle
from driftloop.model.path_relocation import PathResolver
from driftloop.process.errors import BundleError
from services.serving.domain.probe import GoldenRow


class FolderReleases:
    """`services.serving.ports.Releases` on local disk."""

    def __init__(self, folder: Path, resolve_path: PathResolver = local_path) -> None:
        self._folder, self._resolve_path = folder, resolve_path

    def stage(self, release_id: str, uri: str, digest: str) -> Bundle:
        target = self._folder / release_id
        if target.exists():
            try:
                return open_bundle(target, digest)
            except BundleError:
                shutil.rmtree(target)  # an incomplete copy, or another bundle: copy it again
        bundle = open_bundle(self._resolve_path(uri), digest)
        partial = self._folder / f".{release_id}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            for name in (*bundle.manifest.files, MANIFEST):
                shutil.copyfile(bundle.folder / name, partial / name)
        except OSError as error:
            raise BundleError(f"{bundle.folder} cannot be staged: {error}") from error
        open_bundle(partial, digest)
        partial.replace(target)
        return Bundle(target, bundle.manifest, digest)

    def golden_row(self, bundle: Bundle) -> GoldenRow:
        try:
            with np.load(io.BytesIO(bundle.read(GOLDEN)), allow_pickle=False) as arrays:
                width = len(bundle.manifest.categorical)
                categorical = arrays["categorical"][0] if width else np.empty(0, dtype=np.str_)
                return GoldenRow(arrays["numeric"][0].astype(np.float64), categorical.astype(np.str_))
        except (KeyError, IndexError, ValueError, OSError) as error:
            raise BundleError(f"{bundle.folder / GOLDEN} has no sample: {error}") from error

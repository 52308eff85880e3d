from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftloop.model.bundle import REFERENCE, Input, Manifest, write_bundle
from driftloop.process.errors import BundleError
from services.monitoring.adapters.bundles import LocalReferences
from services.monitoring.domain.psi import Reference
from services.monitoring.ports import ReleaseInfo
from services.training.domain.reference import reference

OLD = {
    "format": 1,
    "inputs": {"x": {"edges": [0.0], "counts": [5, 5], "missing": 0}},
    "score": {"edges": [], "counts": [10], "missing": 0},
}


def opened(folder: Path, content: bytes) -> Reference:
    columns = (Input("x", "request", "double"),), (Input("colour", "request", "string"),)
    manifest = Manifest("orders", "run-1", "binary", "orders_v1", *columns, training={})
    digest = write_bundle(folder, manifest, {REFERENCE: content})
    return LocalReferences().open(ReleaseInfo("orders", "r-1", str(folder), digest, "champion"))


def test_the_reference_of_an_older_bundle_is_read(tmp_path: Path) -> None:
    found = opened(tmp_path, json.dumps(OLD).encode())
    assert (found.inputs["x"].counts.tolist(), dict(found.categories)) == ([5, 5], {})


def test_what_training_writes_is_read(tmp_path: Path) -> None:
    rows = np.array([["red"]] * 3 + [["blue"]] * 2 + [[""]], dtype=object)
    found = opened(tmp_path, reference(np.zeros((6, 1)), ["x"], np.linspace(0, 1, 6), rows, ["colour"]))
    colours = found.categories["colour"]
    assert (colours.values, colours.counts.tolist(), colours.missing) == (("blue", "red"), [2, 3, 0], 1)
    assert found.inputs["x"].counts.tolist() == [0, 6, 0]


@pytest.mark.parametrize(
    "categories",
    [
        {"values": ["a"], "counts": [], "other": 0, "missing": 0},
        {"values": ["a", "a"], "counts": [1, 2], "other": 0, "missing": 0},
        {"values": ["a"], "counts": [1], "missing": 0},
        [],
    ],
)
def test_a_broken_reference_is_refused(tmp_path: Path, categories: Any) -> None:
    with pytest.raises(BundleError, match=r"reference\.json"):
        opened(tmp_path, json.dumps({**OLD, "categorical": {"colour": categories}}).encode())

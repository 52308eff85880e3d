"""The inference probe against a real Triton, and its errors."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from driftloop.ops.system import inference_probe
from driftloop.ops.system.inference_probe import MODEL, SOURCE, probe_inference
from driftloop.ops.system.probes import Deadline
from driftloop.process.errors import DriftloopError
from driftloop.process.settings import Settings
from driftloop.process.triton_control import CONTROL_HEADER
from tests.helpers.ports import free_ports
from tests.helpers.triton import TOKEN, Triton

pytestmark = [pytest.mark.integration, pytest.mark.triton]


@pytest.fixture
def settings(tmp_path: Path, triton: Triton) -> Iterator[Settings]:
    """Settings for the shared Triton. Afterwards, check that the probe left Triton as it was."""
    (tmp_path / "triton").symlink_to(triton.models.parent)
    yield Settings(home=tmp_path, triton_grpc=triton.address, triton_control_token=TOKEN)
    with closing(triton.client()) as client:
        assert client.is_server_ready()
        index = client.get_model_repository_index(headers={CONTROL_HEADER: TOKEN})
    assert MODEL not in [model.name for model in index.models]
    assert not (triton.models / MODEL).exists()


def altered(monkeypatch: pytest.MonkeyPatch, folder: Path, before: str, after: str) -> None:
    """Make the probe use an altered model."""
    shutil.copytree(SOURCE, folder)
    text = (folder / "1" / "model.py").read_text()
    assert before in text
    (folder / "1" / "model.py").write_text(text.replace(before, after))
    monkeypatch.setattr(inference_probe, "SOURCE", folder)


def test_the_probe_can_be_repeated_on_a_triton_without_loops(settings: Settings) -> None:
    for _ in range(2):
        probe_inference(settings, Deadline(60.0))


def test_a_wrong_echo_is_reported(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    altered(monkeypatch, tmp_path / "other", "np.asarray(value,", "np.asarray(value + 1,")
    with pytest.raises(DriftloopError, match=r"echo model returned \S+ for "):
        probe_inference(settings, Deadline(60.0))


def test_a_model_that_fails_is_reported_and_removed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    altered(monkeypatch, tmp_path / "other", '"echo", np', '"echo", nb')
    with pytest.raises(DriftloopError, match=r"name 'nb' is not defined.*; see \S+/logs/triton\.log"):
        probe_inference(settings, Deadline(60.0))


def test_a_wrong_secret_is_reported(settings: Settings) -> None:
    with pytest.raises(DriftloopError, match="restricted"):
        probe_inference(settings.model_copy(update={"triton_control_token": "a guess"}), Deadline(60.0))


@pytest.mark.parametrize("timeout_s", [0.0, 0.02])
def test_the_probe_ends_at_its_deadline(settings: Settings, timeout_s: float) -> None:
    with pytest.raises(DriftloopError, match=r"Deadline Exceeded"):
        probe_inference(settings, Deadline(timeout_s))


def test_a_model_that_does_not_load_is_reported_and_the_next_one_loads(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    altered(monkeypatch, tmp_path / "other", "import numpy as np", "import numbers_of_nobody")
    with pytest.raises(
        DriftloopError, match=r"ModuleNotFoundError: No module named 'numbers_of_nobody'; see \S+/logs/triton\.log"
    ):
        probe_inference(settings, Deadline(60.0))
    monkeypatch.undo()
    probe_inference(settings, Deadline(60.0))


def test_nobody_who_answers_is_told(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(DriftloopError, match="did not answer an inference"):
        probe_inference(Settings(home=tmp_path, triton_grpc=address), Deadline(60.0))

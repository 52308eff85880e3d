"""Feast as a process gets it that only asks it for definitions and frames: without torch, and without a word."""

from __future__ import annotations

import subprocess
import sys

import pytest

from driftloop.process.settings import ROOT

pytestmark = pytest.mark.integration

ASKS = """
import sys
from pathlib import Path
from driftloop.ops.checks.features import declared_views
views = declared_views("flights", Path("feature_repo"))
assert "torch" not in sys.modules
import torch
print(len(views), torch.ones(2).sum().item())
"""


def test_definitions_are_read_without_torch_and_without_a_warning() -> None:
    finished = subprocess.run([sys.executable, "-c", ASKS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["14", "2.0"]
    assert finished.stderr == ""

"""A run that is launched elsewhere reads its spec from the bucket and stores its result there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from driftloop.process.object_store import RemoteFolder, upload_file
from services.training.adapters.kubernetes_launcher import KubernetesLauncher
from services.training.domain.matching import ImportPlan
from services.training.spec import IMPORTS, ImportSpec, Trained
from tests.helpers.eventually import assert_eventually
from tests.helpers.kubernetes_api import KubernetesApi
from tests.integration.training.launchers import SETTINGS
from tests.integration.training.runs import remote_program, spec_for
from tests.integration.training.test_launchers import RESULT

pytestmark = [pytest.mark.integration]


def test_spec_model_and_result_pass_through_the_bucket(
    folder: RemoteFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    url = upload_file(tmp_path / "model", folder / IMPORTS, ".onnx")
    name = url.rsplit("/", 1)[1]
    imported = ImportSpec(f"/elsewhere/imports/{name}", name.split(".")[0], "m", ImportPlan((), "score", (0,), "exp"))
    spec = replace(spec_for(Path("/elsewhere/training/orders/run-1")), store_url=str(folder), imported=imported)
    kept = "spec = json.loads((folder / 'spec.json').read_text())\n"
    copy = f"{kept}pathlib.Path({str(tmp_path / 'copy')!r}).write_text(json.dumps(spec))\n"
    with KubernetesApi(tmp_path).running() as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig()))
        launcher = KubernetesLauncher(SETTINGS, folder, {"WORD": "given"}, command=remote_program(copy + RESULT))
        launcher.launch(spec)
        assert_eventually(lambda: launcher.observe(spec).phase == "ended")
        assert launcher.observe(spec).result == Trained("given", "b", "d", "h", 3, 1.5, {"loss": 0.25})
        api.jobs.clear()
        assert isinstance(launcher.observe(spec).result, Trained)  # Kubernetes deletes an old Job
    here = json.loads((tmp_path / "copy").read_text())
    assert here["folder"] == str(tmp_path / "home" / "training" / "orders" / "run-1")
    assert Path(here["imported"]["path"]).read_bytes() == b"weights"

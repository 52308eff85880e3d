from __future__ import annotations

from pathlib import Path

from services.serving.adapters.router_files import FolderRouterFiles
from services.serving.domain.model_config import RouterPaths
from tests.unit.serving.harness import DEFINITION


def test_a_models_folder_holds_the_rendered_files_only(tmp_path: Path) -> None:
    paths = RouterPaths(
        tmp_path / "o.db", tmp_path / "releases", tmp_path / "routes", tmp_path / "spool", tmp_path / "probe"
    )
    files = FolderRouterFiles(tmp_path / "models", paths, 100)
    folder = tmp_path / "models" / DEFINITION.loop
    assert files.render_model(DEFINITION)
    rendered = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_text("")
    for planted in (
        "2/model.py",
        "1/__pycache__/model.cpython-311.pyc",
        "configs/other.pbtxt",
        "triton_python_backend_stub",
    ):
        (folder / planted).parent.mkdir(parents=True, exist_ok=True)
        (folder / planted).write_text("planted")
    (folder / "3").symlink_to(tmp_path / "elsewhere")
    (folder / "1" / "model.py").unlink()
    (folder / "1" / "model.py").symlink_to(folder / "2" / "model.py")
    assert files.render_model(DEFINITION)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == rendered
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
    assert (tmp_path / "elsewhere" / "kept").exists()
    assert not files.render_model(DEFINITION)

"""Compile a loop's own protos.

``python -m driftloop.loop.compile loops/<name>`` writes ``events.binpb`` beside loop.yaml.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

from driftloop.loop.load import DESCRIPTORS
from driftloop.process.errors import LoopDefinitionError


def compile_protos(folder: Path) -> bytes:
    """Return the descriptor set of all ``.proto`` files below ``<folder>/protos``, including imports.

    Raises:
        LoopDefinitionError: protoc rejected a file; has the messages of protoc.
    """
    root = folder / "protos"
    include = resources.files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / DESCRIPTORS
        files = sorted(str(path) for path in root.rglob("*.proto"))
        protoc = subprocess.run(
            [
                sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", f"-I{include}",
                "--include_imports", f"--descriptor_set_out={target}", *files,
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if protoc.returncode:
            lines = protoc.stderr.strip().splitlines() or [f"protoc ended with exit code {protoc.returncode}"]
            raise LoopDefinitionError(
                [str(root / line) if ".proto:" in line else f"{root}:1: {line}" for line in lines]
            )
        return target.read_bytes()


def main() -> int:
    """Compile the folders given on the command line and return the exit code."""
    for name in sys.argv[1:]:
        try:
            descriptors = compile_protos(Path(name))
        except LoopDefinitionError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        (Path(name) / DESCRIPTORS).write_bytes(descriptors)
    return 0


if __name__ == "__main__":
    sys.exit(main())

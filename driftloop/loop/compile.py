"""Compile a loop's own protos.

``python -m driftloop.loop.compile loops/<name>`` writes ``events.binpb`` beside loop.yaml.
"""

from __future__ import annotations

import sys
import tempfile
from importlib import resources
from pathlib import Path

from driftloop.loop.load import DESCRIPTORS


def compile_protos(folder: Path) -> bytes:
    """The descriptor set of every ``.proto`` below ``<folder>/protos``, imports included.

    Raises:
        SystemExit: protoc refused a file.
    """
    from grpc_tools import protoc

    root = folder / "protos"
    include = resources.files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / DESCRIPTORS
        files = sorted(str(path) for path in root.rglob("*.proto"))
        if (
            protoc.main(
                ["protoc", f"-I{root}", f"-I{include}", "--include_imports", f"--descriptor_set_out={target}", *files]
            )
            != 0
        ):
            raise SystemExit("protoc refused a file; its message stands above")
        return target.read_bytes()


def main() -> None:
    """Compile each folder named on the command line."""
    for name in sys.argv[1:]:
        (Path(name) / DESCRIPTORS).write_bytes(compile_protos(Path(name)))


if __name__ == "__main__":
    main()

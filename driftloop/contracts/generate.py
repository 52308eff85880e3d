"""Generate the message classes: ``python -m driftloop.contracts.generate`` (``--check`` only compares).

Each ``protos/driftloop/<domain>/v1/<name>.proto`` becomes ``driftloop/contracts/<name>_pb2.py`` and ``.pyi``, and
``<name>_pb2_grpc.py`` where it declares a service.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import resources
from pathlib import Path

from driftloop.contracts.topics import PROTOS

TARGET = Path(__file__).resolve().parent


def generate(target: Path) -> list[Path]:
    """Write the classes of every domain into ``target``; returns the files, sorted."""
    from grpc_tools import protoc

    sources = sorted((PROTOS / "driftloop").glob("*/v1/*.proto"))
    include = resources.files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory() as scratch:
        arguments = ["protoc", f"-I{PROTOS}", f"-I{include}", f"--python_out={scratch}", f"--pyi_out={scratch}"]
        services = [path for path in sources if "\nservice " in path.read_text()]
        calls = ["protoc", f"-I{PROTOS}", f"-I{include}", f"--grpc_python_out={scratch}", *map(str, services)]
        if protoc.main([*arguments, *map(str, sources)]) != 0 or protoc.main(calls) != 0:
            raise SystemExit("protoc refused a file; its message stands above")
        for path in _generated(Path(scratch)):
            (target / path.name).write_text(_flatten(path.read_text()))
    return _generated(target)


def _generated(folder: Path) -> list[Path]:
    return sorted([*folder.rglob("*_pb2.py*"), *folder.rglob("*_pb2_grpc.py")])


def _flatten(text: str) -> str:
    """Point imports between generated modules at their place in the package."""
    for path in (PROTOS / "driftloop").glob("*/v1/*.proto"):
        domain, name = path.parts[-3], path.stem
        text = text.replace(
            f"from driftloop.{domain}.v1 import {name}_pb2", f"from driftloop.contracts import {name}_pb2"
        )
    return text


def stale() -> list[str]:
    """Names of checked-in files that differ from what the protos give."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = {path.name: path.read_text() for path in generate(Path(scratch))}
    kept = {path.name: path.read_text() for path in _generated(TARGET)}
    return sorted(name for name in fresh.keys() | kept.keys() if fresh.get(name) != kept.get(name))


def main() -> int:
    """Entry point; with --check exits 1 where a file is stale."""
    parser = argparse.ArgumentParser(description="Generate message classes from protos/.")
    parser.add_argument("--check", action="store_true", help="only say which files are stale")
    if not parser.parse_args().check:
        generate(TARGET)
        return 0
    for name in (names := stale()):
        print(f"driftloop/contracts/{name} is stale: run `make protos`", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    raise SystemExit(main())

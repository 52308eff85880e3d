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
    """Write the classes of all domains to the folder ``target``. Return the generated files, sorted."""
    from grpc_tools import protoc

    sources = sorted((PROTOS / "driftloop").glob("*/v1/*.proto"))
    include = resources.files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory() as scratch:
        common = ["protoc", f"-I{PROTOS}", f"-I{include}"]
        services = [path for path in sources if "\nservice " in path.read_text()]
        messages_call = [*common, f"--python_out={scratch}", f"--pyi_out={scratch}", *map(str, sources)]
        services_call = [*common, f"--grpc_python_out={scratch}", *map(str, services)]
        if protoc.main(messages_call) != 0 or protoc.main(services_call) != 0:
            raise SystemExit("protoc failed; see its message above")
        for path in _generated(Path(scratch)):
            (target / path.name).write_text(_flatten(path.read_text()))
    return _generated(target)


def _generated(folder: Path) -> list[Path]:
    return sorted([*folder.rglob("*_pb2.py*"), *folder.rglob("*_pb2_grpc.py")])


def _flatten(text: str) -> str:
    """Make imports between generated modules use the package ``driftloop.contracts``."""
    for path in (PROTOS / "driftloop").glob("*/v1/*.proto"):
        domain, name = path.parts[-3], path.stem
        text = text.replace(
            f"from driftloop.{domain}.v1 import {name}_pb2", f"from driftloop.contracts import {name}_pb2"
        )
    return text


def stale() -> list[str]:
    """Return the names of checked-in files that differ from freshly generated ones."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = {path.name: path.read_text() for path in generate(Path(scratch))}
    checked_in = {path.name: path.read_text() for path in _generated(TARGET)}
    return sorted(name for name in fresh.keys() | checked_in.keys() if fresh.get(name) != checked_in.get(name))


def main() -> int:
    """Generate the classes. With --check, only report stale files and return 1 if there are any."""
    parser = argparse.ArgumentParser(description="Generate message classes from protos/.")
    parser.add_argument("--check", action="store_true", help="only report stale files")
    if not parser.parse_args().check:
        generate(TARGET)
        return 0
    for name in (names := stale()):
        print(f"driftloop/contracts/{name} is stale: run `make protos`", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    raise SystemExit(main())

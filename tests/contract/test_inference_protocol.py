"""The part of the inference protocol in protos/kserve equals Triton's own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from tritonclient.grpc import service_pb2

from driftloop.contracts.topics import PROTOS

FOLDER = PROTOS / "kserve" / "v2"


def _ours(tmp_path: Path) -> descriptor_pb2.FileDescriptorProto:
    written = tmp_path / "inference.binpb"
    include = resources.files("grpc_tools") / "_proto"
    assert protoc.main(
        ["protoc", f"-I{FOLDER}", f"-I{include}", f"--descriptor_set_out={written}", "inference.proto"]
    ) == 0  # fmt: skip
    [file] = descriptor_pb2.FileDescriptorSet.FromString(written.read_bytes()).file
    return file


def _fields(messages: Any, prefix: str = "") -> dict[str, tuple[Any, ...]]:
    """Return the wire properties of each field, including fields of nested messages."""
    properties: dict[str, tuple[Any, ...]] = {}
    for message in messages:
        name = f"{prefix}{message.name}"
        for field in message.field:
            properties[f"{name}.{field.name}"] = (field.number, field.type, field.label, field.type_name)
        properties |= _fields(message.nested_type, f"{name}.")
    return properties


def test_fields_and_calls_equal_those_of_triton(tmp_path: Path) -> None:
    tritons = descriptor_pb2.FileDescriptorProto()
    service_pb2.DESCRIPTOR.CopyToProto(tritons)
    ours = _ours(tmp_path)
    assert ours.package == tritons.package
    known = _fields(tritons.message_type)
    fields = _fields(ours.message_type)
    assert len(fields) > 40
    assert {key: known.get(key) for key in fields} == fields
    [service], [own] = tritons.service, ours.service
    assert own.name == service.name
    calls = {each.name: (each.input_type, each.output_type, each.server_streaming) for each in service.method}
    assert all(calls[each.name] == (each.input_type, each.output_type, each.server_streaming) for each in own.method)


def test_an_included_message_has_all_of_its_fields(tmp_path: Path) -> None:
    tritons = descriptor_pb2.FileDescriptorProto()
    service_pb2.DESCRIPTOR.CopyToProto(tritons)
    own = _ours(tmp_path)
    messages = {each.name for each in own.message_type}
    whole = {key for key in _fields(tritons.message_type) if key.split(".")[0] in messages}
    assert whole == set(_fields(own.message_type))

"""Names content that is neither a JSON object nor a protobuf message, by its first bytes."""

from __future__ import annotations

_OTHER_ENCODINGS = (
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"{\x00", "UTF-16 text"),
    (b"\x00{", "UTF-16 text"),
    (b"\x00\x00\x00{", "UTF-32 text"),
)
_ADVICE = "send one JSON object in UTF-8, or a protobuf message"
_CONTENT = (
    (b"\xef\xbb\xbf", "a UTF-8 byte order mark; send the JSON object without it"),
    *((start, f"{name}; {_ADVICE}") for start, name in _OTHER_ENCODINGS),
    (b"\x1f\x8b", f"gzip; {_ADVICE} (Kafka's own compression is allowed)"),
    (b"\x28\xb5\x2f\xfd", f"zstd; {_ADVICE} (Kafka's own compression is allowed)"),
    (b"Obj\x01", f"an Avro file; {_ADVICE}"),
    (b"PAR1", f"a Parquet file; {_ADVICE}"),
    (b"[", "a JSON array; send each event as a record of its own"),
    (b'"', "a JSON string; send the object itself, not its text in quotes"),
    (b"<", f"XML or HTML; {_ADVICE}"),
)
_SPACE = b" \t\r\n"
_REGISTRY_BYTES = 5


def foreign_content(value: bytes) -> str | None:
    """Return what a value that cannot be read seems to be, and what to send instead; None if its start says nothing."""
    if value[:1] == b"\x00" and len(value) > _REGISTRY_BYTES and value[1:2] != b"{" and value[:4] != b"\x00\x00\x00{":
        return f"a schema registry's header (a zero byte and a schema id); {_ADVICE}, without it"
    text = value.lstrip(_SPACE)
    for start, name in _CONTENT:
        if text.startswith(start):
            return name
    return None

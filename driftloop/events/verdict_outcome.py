"""The outcome of a verdict, without its wire format."""

from __future__ import annotations

from enum import StrEnum


class VerdictOutcome(StrEnum):
    """The three outcomes of a verdict; names as in the protobuf enum. Too little evidence is NOT_KNOWN_YET."""

    BETTER = "better"
    WORSE = "worse"
    NOT_KNOWN_YET = "not-known-yet"

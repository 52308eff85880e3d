"""Why a release ended before it became champion, without its wire format."""

from __future__ import annotations

from enum import StrEnum


class ReleaseEnd(StrEnum):
    """What ended a release: the field `cause` of release-rejected and release-rolled-back."""

    REFUSED = "refused"
    """By the offline verdict."""
    WORSE = "worse"
    UNCLEAR = "unclear"
    """Its stage reached the limit without a clear difference, or too few rows were held out for the offline verdict."""
    NOT_APPROVED = "not-approved"
    COMMAND = "command"
    ROUTE_FAILED = "route-failed"
    BUSY = "busy"
    """Another release was open, or the loop was paused."""


_NO_FAILURES = {ReleaseEnd.UNCLEAR, ReleaseEnd.NOT_APPROVED, ReleaseEnd.BUSY}


def is_failure(cause: str) -> bool:
    """Return whether an end counts as a failure of the trainer. An empty cause, of an older version, does."""
    return cause not in _NO_FAILURES

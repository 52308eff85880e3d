"""Parameter types, and options that several commands have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from driftloop.loop.definition import parse_span


class _Duration(click.ParamType):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        try:
            return parse_span(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Day(click.ParamType):
    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date; write 2013-05-19 or 2013-05-19T06:00", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


DURATION = _Duration()
"""A duration: 90s, 15m, 24h, 7d."""
DAY = _Day()
"""A date or a time; UTC if it has no zone."""

LATE_SHARE = click.option(
    "--late-share", type=click.FloatRange(0, 1), default=0.0, help="Share of events that are sent late."
)
LATE_BY = click.option("--late-by", type=DURATION, default="3h", show_default=True, help="Delay of late events.")


def examples(*lines: str) -> str:
    """Return example calls as a command's epilog, without wrapping."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)

"""What options are made of, and options that several commands have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from driftloop.loop.definition import parse_span


class _Span(click.ParamType):
    name = "span"

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
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date; write 2013-05-19 or 2013-05-19T06:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


SPAN = _Span()
"""A span of time: 90s, 15m, 24h, 7d."""
DAY = _Day()
"""A date or a moment, UTC where it names no zone."""

LATE_SHARE = click.option(
    "--late-share", type=click.FloatRange(0, 1), default=0.0, help="Share of events that are sent late."
)
LATE_BY = click.option("--late-by", type=SPAN, default="3h", show_default=True, help="How much later those are sent.")


def examples(*lines: str) -> str:
    """A command's epilog: example calls, as they stand."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)

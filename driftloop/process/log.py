"""JSON logs on standard error, one object per line, with the chain id of the event being handled."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from driftloop.process.redaction import redact, redact_tracebacks


def configure(service: str, level: str = "INFO") -> None:
    """Set up logging for a process, for structlog and for the standard library."""
    redact_tracebacks()
    numeric = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="wall_time"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(numeric)
    for chatty in ("aiokafka", "kafka", "urllib3", "alembic"):
        logging.getLogger(chatty).setLevel(max(numeric, logging.WARNING))
    structlog.contextvars.bind_contextvars(service=service)


def configure_command(level: str = "WARNING") -> None:
    """Set up logging for a command: readable lines on standard error, so that its output is for scripts."""
    numeric = logging.getLevelNamesMapping()[level]
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=True),
            lambda logger, name, entry: redact(str(console(logger, name, entry))),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # as it is then: a caller may replace it
    )


def _render(logger: Any, name: str, event: Any) -> str:
    return redact(str(_JSON(logger, name, event)))


_JSON = structlog.processors.JSONRenderer()


def get(name: str) -> Any:
    """Return a logger. Usage: ``log.info("what-happened", key=value)``."""
    return structlog.get_logger(name)

"""Fills the templates beside this file: each page is one file that needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

_FOLDER = Path(__file__).parent


def page(template: str, **values: Any) -> str:
    """A page; what is put in is escaped unless it is `Markup`.

    Raises:
        jinja2.UndefinedError: the template asks for what is not there.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=jinja2.select_autoescape(default=True),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(values)

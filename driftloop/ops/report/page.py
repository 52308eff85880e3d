"""Fills the templates of this folder. Each page is one file that needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from driftloop.readmodel import page_components

_FOLDER = Path(__file__).parent


def page(template: str, **values: Any) -> str:
    """Return a page; values are escaped unless they are `Markup`.

    Raises:
        jinja2.UndefinedError: the template uses a value that is missing.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=jinja2.select_autoescape(default=True),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    script = page_components.bare_imports((_FOLDER / "figures.js").read_text())
    return environment.get_template(template).render(
        style_sheet=Markup(page_components.style_sheet()),  # noqa: S704
        import_map=page_components.import_map(),
        script=Markup(script),  # noqa: S704
        **values,
    )

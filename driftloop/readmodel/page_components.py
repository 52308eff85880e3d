"""Plots, pictures and marks that the web page and the reports share: JavaScript modules and a style sheet."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path

FOLDER = Path(__file__).parent / "components"
_SPECIFIER = re.compile(r'(?<=from ")(?:\./|vendor/)+(?=[\w-]+\.js")')


def style_sheet() -> str:
    """Return the style sheet of all components."""
    return (FOLDER / "components.css").read_text()


def import_map() -> dict[str, dict[str, str]]:
    """Return an import map that gives every module, by file name, as a ``data:`` URL.

    With it an HTML file needs no other file and no network. Relative names do not resolve from ``data:`` URLs, so the
    modules import each other by their file names.
    """
    modules = {path.name: bare_imports(path.read_text()) for path in sorted(FOLDER.rglob("*.js"))}
    return {"imports": {name: _data_url(text) for name, text in modules.items()}}


def bare_imports(module: str) -> str:
    """Return the text of a module with its relative imports replaced by file names."""
    return _SPECIFIER.sub("", module)


def _data_url(module: str) -> str:
    return f"data:text/javascript;base64,{b64encode(module.encode()).decode()}"

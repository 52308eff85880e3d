"""Names in SQL text."""


def quote_name(name: str) -> str:
    """Quote the name of a table or column (SQL standard; SQLite, PostgreSQL, DuckDB)."""
    return '"' + name.replace('"', '""') + '"'

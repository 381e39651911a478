"""Cells of CSV files that people open in a spreadsheet."""

from __future__ import annotations

from typing import Any


def escape_formula(value: Any) -> Any:
    """Prefix an apostrophe to a text that a spreadsheet would take for a formula."""
    return (
        f"'{value}"
        if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
        else value
    )

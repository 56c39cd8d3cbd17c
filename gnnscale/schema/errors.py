"""Errors that a person can act on: the name, the value, what was allowed, and where."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class GnnscaleError(ValueError):
    """Root of every error that names a fault in what the user gave; the CLI prints it and exits 2."""


class ConfigError(GnnscaleError):
    """A configuration key or value that is unknown, missing or out of range."""


class SchemaError(GnnscaleError):
    """A table, column or link that is declared wrongly or does not exist."""


class DataError(GnnscaleError):
    """Rows that break what the schema promises: duplicate keys, times that do not parse, no match."""


class LakeError(GnnscaleError):
    """A table or file that is missing, or that this installation can't read safely."""


class StoreError(GnnscaleError):
    """A key-value store that can't be reached, or does not hold what is asked of it."""


class LostProcessError(GnnscaleError):
    """A process that the work runs in is gone; nothing that was given is at fault, and the CLI exits 1."""


class QueryError(GnnscaleError):
    """A fault in a predictive query, with its position.

    Args:
        message: what is wrong and what was allowed.
        text: the query.
        position: offset of the fault in ``text``, in characters.
    """

    def __init__(self, message: str, text: str = "", position: int = 0) -> None:
        self.position = max(0, min(position, len(text)))
        before = text[: self.position]
        self.line = before.count("\n") + 1
        self.column = self.position - (before.rfind("\n") + 1) + 1
        if text:
            # What is no letter, digit, sign or space would move the caret.
            shown = "".join(c if c.isprintable() else " " for c in text.split("\n")[self.line - 1])
            start = max(0, self.column - 60)
            caret = " " * (self.column - 1 - start) + "^"
            message = f"line {self.line}, column {self.column}: {message}\n  {shown[start : start + 100]}\n  {caret}"
        super().__init__(message)


def nearest(name: str, known: Iterable[str]) -> str:
    """Half a sentence that leads from an unknown name to the known ones.

    Returns:
        `` Did you mean 'x'?`` where one is close, else `` Known: a, b, c.``
    """
    options = sorted(known)
    close = get_close_matches(name, options, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Known: {', '.join(options)}." if options else ""

"""A progress bar below the cell of a notebook, as HTML that is replaced while work goes on; it needs no widgets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

REDRAW_SECONDS = 0.2
"""Least time between two drawings: each is a message to the browser."""


class NotebookBar:
    """A bar that a cell shows.

    Args:
        handle: of IPython's display, which replaces what it shows.
        name: what is done.
        unit: of what, such as ``steps``.
    """

    def __init__(self, handle: Any, name: str, unit: str) -> None:
        self._handle, self._name, self._unit = handle, name, unit
        self._started, self._drawn = time.monotonic(), 0.0

    def draw(self, done: int, total: int, note: str) -> None:
        """Show how far it is; drawings that follow each other too fast are left out, but not the last."""
        now = time.monotonic()
        if done < total and now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        self.show(bar_html(self._name, self._unit, done, total, note, now - self._started))

    def show(self, page: str) -> None:
        """Replace what the cell shows."""
        from IPython.display import HTML

        self._handle.update(HTML(page))


def bar_html(name: str, unit: str, done: int, total: int, note: str, seconds: float) -> str:
    """A bar with its figures."""
    text = f"{done:,} of {total:,} {unit}, {seconds:.0f} s {note}".rstrip()
    return (
        f'<div style="font-family: monospace"><progress value="{done}" max="{max(1, total)}"></progress> '
        f"{escape(name)}: {escape(text)}</div>"
    )


@contextmanager
def notebook_bar(name: str, unit: str) -> Iterator[NotebookBar]:
    """Show a bar below the cell that runs; how far it came stays when it ends.

    Args:
        name: what is done.
        unit: of what, such as ``steps``.
    """
    from IPython.display import HTML, display

    handle = display(HTML(bar_html(name, unit, 0, 0, "", 0.0)), display_id=True)
    yield NotebookBar(handle, name, unit)

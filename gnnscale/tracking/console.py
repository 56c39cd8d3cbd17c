"""What a person sees: progress bars on a terminal and in a notebook, plain lines elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gnnscale.schema import mask_text
from gnnscale.tracking.notebook_bar import notebook_bar

PLAIN_EVERY = 15.0
"""Seconds between lines of one bar where there is no terminal."""


def configure_logging(verbose: bool = False, console: Console | None = None) -> Console:
    """Set up logging for an entry point.

    Args:
        verbose: show debugging lines of ours.
        console: to write to; default: standard error.
    """
    console = console or Console(stderr=True)
    logging.basicConfig(level=logging.WARNING, handlers=[make_handler(console)], force=True)
    logging.getLogger("gnnscale").setLevel(logging.DEBUG if verbose else logging.INFO)
    return console


@contextmanager
def shown_logging(verbose: bool = False) -> Iterator[Console]:
    """Show our log lines and progress during a call from Python, and leave the program's own logging as it was.

    Where the program has set up logging, its handlers show the lines; else they go to standard error, or in a notebook
    below the cell.

    Args:
        verbose: show debugging lines of ours.
    """
    console = Console(stderr=True)
    ours = logging.getLogger("gnnscale")
    level, handler = ours.level, None
    if not ours.hasHandlers():
        handler = make_handler(console)
        ours.addHandler(handler)
    ours.setLevel(logging.DEBUG if verbose else logging.INFO)
    try:
        yield console
    finally:
        ours.setLevel(level)
        if handler is not None:
            ours.removeHandler(handler)


def make_handler(console: Console) -> logging.Handler:
    """What shows log lines on a terminal, or plainly elsewhere."""
    if console.is_terminal:
        shown = RichHandler(console=console, show_path=False, show_level=False, log_time_format="%H:%M:%S")
        shown.setFormatter(_MaskingFormatter("%(message)s"))
        shown.addFilter(is_no_line_of_py4j)
        return shown
    # Below the cell of a notebook, what goes to standard error looks like a fault.
    handler = logging.StreamHandler(sys.stdout if console.is_jupyter else console.file)
    handler.setFormatter(_MaskingFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
    handler.addFilter(is_no_line_of_py4j)
    return handler


def is_no_line_of_py4j(record: logging.LogRecord) -> bool:
    """Whether a line is for a person: py4j's, on the root logger too, have the whole of Java's beside the error."""
    return f"{os.sep}py4j{os.sep}" not in record.pathname


class _MaskingFormatter(logging.Formatter):
    """Masks passwords and signatures of URIs, whichever library's line they are in."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_text(super().format(record))


class BarDisplay(Protocol):
    """Where a bar is drawn."""

    def draw(self, done: int, total: int, note: str) -> None:
        """Show how far it is."""


class Bar:
    """One quantity that grows to a total."""

    def __init__(self, name: str, total: int, unit: str, display: BarDisplay | None, log: logging.Logger) -> None:
        self._name, self._total, self._unit, self._display, self._log = name, total, unit, display, log
        self._done, self._note, self._said = 0, "", time.monotonic()

    def resize(self, total: int) -> None:
        """Change the total."""
        self._total = total
        if self._display is not None:
            self._display.draw(self._done, self._total, self._note)

    def say(self, line: str) -> None:
        """Show a line that stays."""
        self._log.info("%s: %s", self._name, line)

    def advance(self, amount: int = 1, note: str | None = None) -> None:
        """Count ``amount`` more as done, and show ``note`` beside."""
        self._done += amount
        self._note = self._note if note is None else note
        if self._display is not None:
            self._display.draw(self._done, self._total, self._note)
        elif time.monotonic() - self._said >= PLAIN_EVERY:
            self._said = time.monotonic()
            words: tuple[Any, ...] = (self._name, self._done, self._total, self._unit)
            self._log.info("%s: %s of %s %s  %s", *words, self._note)


@contextmanager
def progress_bar(console: Console, name: str, total: int, unit: str) -> Iterator[Bar]:
    """Show a bar while the block runs: on a terminal, or below the cell of a notebook; elsewhere plain lines.

    Args:
        console: decides where.
        name: what is done.
        total: how many.
        unit: of what, such as ``steps``.
    """
    log = logging.getLogger("gnnscale.progress")
    if console.is_jupyter:
        with notebook_bar(name, unit) as shown:
            yield Bar(name, total, unit, shown, log)
        return
    if not console.is_terminal:
        yield Bar(name, total, unit, None, log)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(name, total, unit, _TerminalBar(progress, name, total), log)


class _TerminalBar:
    """A row of rich's progress display."""

    def __init__(self, progress: Progress, name: str, total: int) -> None:
        self._progress, self._task = progress, progress.add_task(name, total=total, note="")

    def draw(self, done: int, total: int, note: str) -> None:
        self._progress.update(self._task, completed=done, total=total, note=note)

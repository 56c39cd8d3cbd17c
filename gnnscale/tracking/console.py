"""What a person sees: progress bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PLAIN_EVERY = 15.0
"""Seconds between lines of one bar where there is no terminal."""


def configure_logging(verbose: bool = False, console: Console | None = None) -> Console:
    """Set up logging for an entry point.

    Args:
        verbose: show debugging lines of ours.
        console: to write to; default: standard error.
    """
    console = console or Console(stderr=True)
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(console=console, show_path=False, show_level=False, log_time_format="%H:%M:%S")
    else:
        handler = logging.StreamHandler(console.file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("gnnscale").setLevel(logging.DEBUG if verbose else logging.INFO)
    return console


class Bar:
    """One quantity that grows to a total."""

    def __init__(self, name: str, total: int, unit: str, progress: Progress | None, log: logging.Logger) -> None:
        self._name, self._total, self._unit, self._progress, self._log = name, total, unit, progress, log
        self._done, self._note, self._said, self._started = 0, "", time.monotonic(), time.monotonic()
        self._task = progress.add_task(name, total=total, note="") if progress else None

    def resize(self, total: int) -> None:
        """Change the total."""
        self._total = total
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=total)

    def say(self, line: str) -> None:
        """Show a line that stays."""
        self._log.info("%s: %s", self._name, line)

    def advance(self, amount: int = 1, note: str | None = None) -> None:
        """Count ``amount`` more as done, and show ``note`` beside."""
        self._done += amount
        self._note = self._note if note is None else note
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self._done, note=self._note)
        elif time.monotonic() - self._said >= PLAIN_EVERY:
            self._said = time.monotonic()
            words: tuple[Any, ...] = (self._name, self._done, self._total, self._unit)
            self._log.info("%s: %s of %s %s  %s", *words, self._note)


@contextmanager
def progress_bar(console: Console, name: str, total: int, unit: str) -> Iterator[Bar]:
    """Show a bar while the block runs.

    Args:
        console: decides between a bar and lines.
        name: what is done.
        total: how many.
        unit: of what, such as ``steps``.
    """
    log = logging.getLogger("gnnscale.progress")
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
        yield Bar(name, total, unit, progress, log)

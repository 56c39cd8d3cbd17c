"""Signal handlers kept through the calls of libraries that set their own, and leave them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

KEPT = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def kept_signals() -> Iterator[None]:
    """Put back what SIGINT and SIGTERM did before the block; elsewhere than in the main thread nothing can be set."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in KEPT}
    try:
        yield
    finally:
        for number, handler in before.items():
            # While a signal is acted on, the handler has made later ones do nothing.
            if handler is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)

"""Signal handlers kept through the calls of libraries that set their own, and leave them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEPT = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def kept_signals() -> Iterator[None]:
    """Have SIGINT and SIGTERM do what they did before the block, in it and after it.

    A library's own handler is not set at all: such a call takes seconds after it has set one, and a signal that came
    then would end the process in the library's way. Elsewhere than in the main thread nothing can be set.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in KEPT}
    real = signal.signal

    def keep(signalnum: int, handler: Any) -> Any:
        own = threading.current_thread() is threading.main_thread() and signalnum in KEPT
        return signal.getsignal(signalnum) if own else real(signalnum, handler)

    signal.signal = keep
    try:
        yield
    finally:
        signal.signal = real
        for number, handler in before.items():
            # What is not set by Python comes another way. While a signal is acted on, later ones do nothing.
            if handler is not None and signal.getsignal(number) is not signal.SIG_IGN:
                real(number, handler)

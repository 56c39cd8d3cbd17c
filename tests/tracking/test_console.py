"""Log lines hide secrets, and what a library says of its own errors at length."""

import io
import logging

from rich.console import Console

from gnnscale.tracking.console import make_handler


def test_lines_are_masked_and_those_of_py4j_left_out() -> None:
    for terminal in (False, True):
        sink = io.StringIO()
        handler = make_handler(Console(file=sink, force_terminal=terminal, width=200))
        for path, message in (
            ("/site-packages/py4j/java_gateway.py", "70 lines of Java"),
            ("/gnnscale/lake/lake.py", "writing to s3://key:hidden@bucket/x"),
        ):
            record = logging.LogRecord("root", logging.ERROR, path, 1, message, None, None)
            if handler.filter(record):
                handler.emit(record)
        said = sink.getvalue()
        assert "Java" not in said and "hidden" not in said and "***@bucket" in said

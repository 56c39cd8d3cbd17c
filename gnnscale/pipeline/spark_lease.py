"""The Spark session of one run: that which is there, left as it was found, or one of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from gnnscale.pipeline.failures import end_in_words

if TYPE_CHECKING:
    from gnnscale.config import SparkSettings
    from gnnscale.etl import SparkSession


class SparkLease:
    """A session for as long as it is needed.

    Where a session is active when this is made, work is done in one beside it, and the one that was there goes on with
    the configuration that it had. Else a session is started when first asked for, and stopped.

    Args:
        settings: of the session.
        is_small: whether little is worked on; asked where a session is started.
    """

    def __init__(self, settings: SparkSettings, is_small: Callable[[], bool] = lambda: False) -> None:
        self._settings, self._is_small = settings, is_small
        self._found = active_session()
        self._session: SparkSession | None = None
        self._begun = False
        """Whether a session was being started: what has come of it goes, also where that has failed."""

    def open(self, heap_mib: int = 0) -> SparkSession:
        """The session.

        Args:
            heap_mib: of Java that it should have at least, where it is started now and its memory is ``auto``.

        Raises:
            GnnscaleError: there is no Java that Spark runs on.
        """
        from gnnscale.etl import borrow_session, open_session

        if self._session is None:
            self._begun = self._found is None
            if self._found is not None:
                self._session = borrow_session(self._settings)
            else:
                self._session = open_session(self._settings, heap_mib=heap_mib, small=self._is_small())
        return self._session

    def find_lost(self) -> tuple[str, str] | None:
        """Name and end of the JVM, where it was started here and is gone; None where it lives."""
        if not self._begun:
            return None
        from gnnscale.etl import jvm_status

        status = jvm_status()
        return None if status is None else ("Spark's JVM", end_in_words(status))

    def close(self, at_once: bool = False) -> None:
        """Stop what was started, and leave what was there as it was; :meth:`open` may follow.

        Args:
            at_once: without waiting for the jobs that run.
        """
        from gnnscale.etl import activate_session, close_session

        if self._session is None and not self._begun:
            return
        self._session, self._begun = None, False
        if self._found is not None:
            activate_session(self._found)
        else:
            close_session(at_once)


def active_session() -> SparkSession | None:
    """The session that this process has, if any; without PySpark being loaded for it."""
    if "pyspark.sql" not in sys.modules:
        return None
    from gnnscale.etl import running_session

    return running_session()

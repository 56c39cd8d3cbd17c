"""Queries of Spark side by side: those of small tables have few tasks, and would leave cores idle one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Final, TypeVar

from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession

from gnnscale.etl.spark.connect import activate_remote, is_connect, task_slots

Result = TypeVar("Result")

MOST: Final = 4
"""Works that are under way at once: more would plan what no core is free for."""


def run_side_by_side(works: Sequence[Callable[[], Result]]) -> list[Result]:
    """Do works that don't depend on each other at the same time; the active session is that of each of them.

    Args:
        works: what they do; each begins no later than those after it.

    Returns:
        What each has returned, in their order.

    Raises:
        Exception: that of the first work, in their order, that has failed; none is under way any more.
    """
    session = SparkSession.getActiveSession()
    threads = min(MOST, task_slots(session), len(works)) if session else 1
    if session is None or threads <= 1:
        return [work() for work in works]
    pool = ThreadPoolExecutor(threads)
    try:
        futures = [pool.submit(inheritable_thread_target(session)(_in_session(session, work))) for work in works]
        wait(futures, return_when=FIRST_EXCEPTION)
        # Where one has failed, what has not begun comes after it, and is not begun.
        begun = [future for future in futures if not future.cancel()]
        wait(begun)
        return [future.result() for future in begun]
    finally:
        # Ctrl-C does not wait for queries: the JVM ends with the run.
        pool.shutdown(wait=False, cancel_futures=True)


def _in_session(session: SparkSession, work: Callable[[], Result]) -> Callable[[], Result]:
    def call() -> Result:
        if is_connect(session):
            activate_remote(session)
            return work()
        jvm = session._jvm
        assert jvm is not None
        # A thread of the JVM that is new has none.
        jvm.SparkSession.setActiveSession(session._jsparkSession)
        return work()

    return call

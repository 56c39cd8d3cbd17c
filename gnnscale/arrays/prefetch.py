"""Work done by threads before its result is asked for, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from gnnscale.arrays.threads import keep_rows

Result = TypeVar("Result")


def compute_threads(cores: int, prefetch: int, sampler_threads: int = 1) -> int:
    """Threads for the network's arithmetic on the CPU, so that those that make batches ahead have cores of their own.

    Where both share a core, each of the network's parallel regions waits for its thread that is not running: on two
    cores, two threads beside the loader's did less than half of what one did.

    Args:
        cores: of this process.
        prefetch: batches made ahead; with 0, the network and the sampler take turns on all cores.
        sampler_threads: that make them.
    """
    return cores if prefetch == 0 else max(1, cores - sampler_threads)


def prefetched(jobs: Iterable[Callable[[], Result]], prefetch: int, threads: int = 1) -> Iterator[Result]:
    """Results of the jobs in their order.

    Args:
        jobs: each is called once.
        prefetch: how many are begun before they are asked for; with 0, each is run where it is asked for.
        threads: that do whole jobs at once, at most ``prefetch``. Of several, each shares its rows with no other:
            threads that never wait for each other are worth more than those that meet at the end of every job.

    Raises:
        Exception: what a job raises is raised where its result is asked for.
    """
    if prefetch == 0:
        yield from (job() for job in jobs)
        return
    waiting: deque[Future[Result]] = deque()
    count = min(threads, prefetch)
    alone = keep_rows if count > 1 else None
    with ThreadPoolExecutor(count, thread_name_prefix="gnnscale-prefetch", initializer=alone) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(job))
                if len(waiting) > prefetch:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Who stops early waits for those at work alone.
            for future in waiting:
                future.cancel()

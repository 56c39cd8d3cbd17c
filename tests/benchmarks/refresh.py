"""The daily refresh of generated shoppers of whom one in a hundred is active, beside a run that embeds all of them.

Both are measured whole: who is active is found, embedded, merged into the lake's table and published, each in a process
of its own. Look-ups are of one key each, at random, by one process and by two at once, and of a hundred keys each.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from gnnscale.config import bind_query
from gnnscale.inference import refresh_vectors
from gnnscale.lake import Lake
from gnnscale.publish import Store, publish_query
from tests.benchmarks.measure import arguments, finish, surroundings
from tests.benchmarks.refresh_lake import TODAY, YESTERDAY, make_lake, open_lake
from tests.redis_server import redis_server

SMALL, FULL, ACTIVE = 20_000, 1_000_000, 0.01
LOOKUPS, BATCH = 20_000, 100
TABLE = "next_week/customers"


def main() -> None:
    """Run, print, and with ``--json`` print one line more."""
    options = arguments(__doc__ or "")
    shoppers = FULL if options.full else SMALL
    folder = Path(tempfile.mkdtemp(prefix="refresh-"))
    try:
        result = measure(folder, shoppers)
    finally:
        shutil.rmtree(folder)
    finish(
        options, {"benchmark": "refresh", **surroundings(("torch", "numba", "deltalake", "pyarrow", "redis")), **result}
    )


def measure(folder: Path, shoppers: int) -> dict[str, Any]:
    """Seconds and memory of a full run and of a day's, and look-ups of both stores."""
    with redis_server(folder) as redis:
        stores = {"sqlite": str(folder / "store.sqlite"), "redis": redis}
        alone(make_lake, folder, shoppers, ACTIVE)
        # Once before, so that kernels are compiled.
        alone(make_lake, folder / "first", 1000, ACTIVE)
        alone(run_day, folder / "first", YESTERDAY, {"sqlite": str(folder / "first.sqlite")})
        full, day = (alone(run_day, folder, as_of, stores) for as_of in (YESTERDAY, TODAY))
        for name, run in (("full", full), ("day", day)):
            print(name, run, flush=True)
        looked = {name: lookups(uri, shoppers) for name, uri in stores.items()}
    for name, figures in looked.items():
        print(name, figures, flush=True)
    whole, part = (run["embed"] + run["publish_sqlite"] for run in (full, day))
    return {
        "shoppers": shoppers,
        "active": day["encoded"],
        "full": full,
        "day": day,
        "ratio_full": round(whole / part, 1),
        "ratio_full_cpu": round(full["cpu"] / day["cpu"], 1),
        "peak_gb": day["peak_gb"],
        "own_gb": day["own_gb"],
        "lookups": looked,
    }


def alone(work: Any, *given: Any) -> Any:
    """What a process of its own returns, which ends with it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


def run_day(folder: Path, as_of: int, stores: dict[str, str]) -> dict[str, Any]:
    """Embed and publish as of a time; seconds of each, of cores in all, and the most memory of this process.

    ``peak_gb`` has the pages of mapped files, which the kernel takes back where they are wanted, ``own_gb`` has not.
    """
    import torch

    torch.set_num_threads(1)
    settings, graph = open_lake(folder)
    lake, query = Lake(settings.lake.uri), bind_query(settings, graph.manifest)
    started, cpu = time.perf_counter(), time.process_time()
    with own_memory() as own:
        found = refresh_vectors(settings, lake, graph, as_of)
        row: dict[str, Any] = {"encoded": found.encoded, "embed": round(time.perf_counter() - started, 2)}
        for name, uri in stores.items():
            started = time.perf_counter()
            to = settings.model_copy(update={"publish": settings.publish.model_copy(update={"store": uri})})
            written = publish_query(to, lake, query).written
            assert set(written.values()) == {found.encoded}
            row[f"publish_{name}"] = round(time.perf_counter() - started, 2)
    row["cpu"] = round(time.process_time() - cpu, 2)
    row["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)
    row["own_gb"] = round(max(own) / 1e9, 2)
    return row


@contextmanager
def own_memory(every: float = 0.02) -> Iterator[list[int]]:
    """Bytes that this process alone has, mapped files left out, looked at every so many seconds."""
    seen, done = [0], threading.Event()

    def look() -> None:
        while not done.wait(every):
            lines = Path("/proc/self/status").read_text().splitlines()
            seen.append(1024 * int(next(line for line in lines if line.startswith("RssAnon")).split()[1]))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def lookups(uri: str, shoppers: int) -> dict[str, Any]:
    """Look-ups a second and how long the slowest take, in milliseconds."""
    one = alone(look_up, uri, shoppers, 0, 1)
    many = alone(look_up, uri, shoppers, 0, BATCH)
    started = time.perf_counter()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        two = list(pool.map(look_up, [uri] * 2, [shoppers] * 2, [1, 2], [1] * 2))
    return {
        "lookups_per_second": one["per_second"],
        "p50_ms": one["p50_ms"],
        "p99_ms": one["p99_ms"],
        "two_processes_per_second": sum(figures["per_second"] for figures in two),
        "two_processes_p99_ms": max(figures["p99_ms"] for figures in two),
        "keys_per_second_by_hundreds": many["per_second"] * BATCH,
        "seconds": round(time.perf_counter() - started, 1),
    }


def look_up(uri: str, shoppers: int, seed: int, batch: int) -> dict[str, Any]:
    """Look some keys up, so many at once."""
    rng = np.random.default_rng(seed)
    keys = [f"c{number:08d}" for number in rng.integers(0, shoppers, LOOKUPS + batch)]
    parts = [keys[at : at + batch] for at in range(0, LOOKUPS, batch)]
    with Store.open(uri) as store:
        store.lookup(TABLE, keys[:1])
        seconds = np.empty(len(parts))
        for place, part in enumerate(parts):
            started = time.perf_counter()
            rows = store.lookup(TABLE, part)
            seconds[place] = time.perf_counter() - started
            assert all(row is not None for row in rows)
    p50, p99 = (round(1000 * float(np.quantile(seconds, share)), 3) for share in (0.5, 0.99))
    return {"per_second": round(len(parts) / float(seconds.sum())), "p50_ms": p50, "p99_ms": p99}


if __name__ == "__main__":
    main()

"""Days of the refresh, each killed at random moments, while a reader polls: nobody sees anything but whole days.

``python -m tests.publish.kills`` kills fifty times for each store; the suite a few times.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.config import Settings, bind_query
from gnnscale.inference import refresh_vectors
from gnnscale.lake import Lake
from gnnscale.publish import Store, publish_query
from tests.benchmarks.refresh_lake import DAY, START, make_lake, open_lake
from tests.redis_server import redis_server

SHOPPERS, FIRST, LAST, KILLS = 120, 30, 59, 50
PAUSE = 0.005
"""Seconds between two polls of the reader."""
TABLE = "next_week/customers"
KEYS = [f"c{number:08d}" for number in range(SHOPPERS)]

Vectors = NDArray[np.float32]


@dataclass
class Campaign:
    """What has been seen.

    Args:
        kills: processes that were killed.
        days: that were done in the end.
        polls: of the reader.
        seen: days that it saw, in order.
    """

    kills: int = 0
    days: int = 0
    polls: int = 0
    seen: list[int] = field(default_factory=list)


def settings_of(folder: Path, lake: str, store: str) -> Settings:
    """Of a lake in a folder; small files and batches, so that a day has many moments to be killed at."""
    settings = open_lake(folder)[0]
    return settings.model_copy(
        update={
            "lake": settings.lake.model_copy(update={"uri": str(folder / lake)}),
            "embedding": settings.embedding.model_copy(update={"partition_rows": 16, "batch_size": 16}),
            "publish": settings.publish.model_copy(update={"store": store, "batch_rows": 4}),
        }
    )


def run_day(folder: str, lake: str, store: str, day: int) -> None:
    """The refresh of a day, whole: embed, commit, publish."""
    torch.set_num_threads(1)
    settings, graph = settings_of(Path(folder), lake, store), open_lake(Path(folder))[1]
    home = Lake(settings.lake.uri)
    refresh_vectors(settings, home, graph, START + day * DAY)
    publish_query(settings, home, bind_query(settings, graph.manifest))


def copy_lake(folder: Path, name: str) -> None:
    """A lake without refreshed vectors, like the one that was made."""
    source, target = Lake(str(folder / "lake")), Lake(str(folder / name))
    for table in ("ids_customers", "ids_products"):
        target.write(table, source.read(table))
    content = source.read_bytes("_models/next_week/model.pt")
    assert content is not None
    target.write_bytes("_models/next_week/model.pt", content)


def unbroken_days(folder: Path) -> dict[int, Vectors]:
    """Day -> vectors that readers should see, of a run that nobody kills."""
    copy_lake(folder, "unbroken")
    store, found = str(folder / "unbroken.sqlite"), {}
    for day in range(FIRST, LAST + 1):
        run_day(str(folder), "unbroken", store, day)
        with Store.open(store) as readers:
            found[day] = readers.vectors(TABLE, KEYS)[0]
    return found


def kill_days(folder: Path, uri: str, name: str, days: dict[int, Vectors], kills: int, seed: int = 0) -> Campaign:
    """Run days, killing them, with a reader beside.

    Args:
        folder: of the lake and its graph.
        uri: of the store.
        name: of a lake for this campaign.
        days: see :func:`unbroken_days`.
        kills: at least so many.
        seed: of the moments.
    """
    copy_lake(folder, name)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.publish.kills"])
    draw, campaign, day, longest = random.Random(seed), Campaign(), FIRST, 2.0
    run_day(str(folder), name, uri, day)
    with polled(uri, days, campaign):
        while campaign.kills < kills and day < LAST:
            # Twice in three times; else it is let go on.
            patience = draw.uniform(0, longest) if draw.random() < 2 / 3 else None
            process = context.Process(target=run_day, args=(str(folder), name, uri, day + 1))
            process.start()
            process.join(patience)
            if process.is_alive():
                process.kill()
                process.join()
                campaign.kills += 1
                check_lake(folder, name, days, day)
                continue
            assert process.exitcode == 0, f"day {day + 1} has ended with {process.exitcode}"
            day += 1
    with Store.open(uri) as store:
        assert (store.vectors(TABLE, KEYS)[0] == days[day]).all()
    campaign.days = day - FIRST
    return campaign


def check_lake(folder: Path, name: str, days: dict[int, Vectors], day: int) -> None:
    """See that the lake's table is that of the day before, or of the day."""
    rows = Lake(str(folder / name)).read("refreshed_next_week").sort_by("node_id")
    found = np.array(rows["vector"].to_pylist(), np.float32)
    assert any((found == days[one]).all() for one in (day, day + 1)), f"the table of day {day} is a mix"


@contextmanager
def polled(uri: str, days: dict[int, Vectors], campaign: Campaign) -> Iterator[None]:
    """A reader beside the block, which looks all shoppers up again and again.

    Raises:
        AssertionError: at the end of the block; it has seen what no day has, or a day after a later one.
    """
    done, faults = threading.Event(), []

    def poll() -> None:
        with Store.open(uri) as store:
            while not done.wait(PAUSE):
                vectors, there = store.vectors(TABLE, KEYS)
                found = [day for day, expected in days.items() if (vectors == expected).all()]
                campaign.polls += 1
                if not there.all() or not found:
                    faults.append("a reader has seen a mix")
                elif not campaign.seen or found[-1] != campaign.seen[-1]:
                    if campaign.seen and found[-1] < campaign.seen[-1]:
                        faults.append(f"day {found[-1]} was seen after day {campaign.seen[-1]}")
                    campaign.seen.append(found[-1])

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        yield
    finally:
        done.set()
        reader.join()
    assert not faults, faults[0]


def main() -> None:
    """Kill fifty times for each store."""
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    make_lake(folder, SHOPPERS, 0.01)
    days = unbroken_days(folder)
    with redis_server(folder) as redis:
        for name, uri in (("sqlite", str(folder / "store.sqlite")), ("redis", redis)):
            total, rounds = Campaign(), 0
            while total.kills < KILLS:
                store = f"{folder}/store{rounds}.sqlite" if name == "sqlite" else uri
                done = kill_days(folder, store, f"{name}_{rounds}", days, KILLS - total.kills, seed=rounds)
                total = Campaign(total.kills + done.kills, total.days + done.days, total.polls + done.polls)
                rounds += 1
            sys.stdout.write(f"{name}: {total.kills} kills, {total.days} days done, {total.polls:,} polls, no mix\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

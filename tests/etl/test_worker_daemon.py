"""Spark's Python workers are forked from a process that has imported what they need."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import SparkSession

from gnnscale.etl.spark.worker_daemon import NEEDED, WORKER
from tests.cluster import command_line

SEEN = "parent long, there long, frozen long"


def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What a worker finds before a function has asked for anything; this is pickled whole, and imports nothing."""
    for _ in batches:
        there = sum(name in sys.modules for name in NEEDED)
        yield pa.RecordBatch.from_pydict(
            {"parent": [os.getppid()], "there": [there], "frozen": [gc.get_freeze_count()]}
        )


def test_workers_find_what_they_need(spark: SparkSession) -> None:
    (seen,) = spark.range(1, numPartitions=1).mapInArrow(look, SEEN).collect()
    assert command_line(seen["parent"])[-2:-1] == [WORKER]
    assert "gnnscale.etl.spark.worker_daemon" in command_line(seen["parent"])
    assert seen["there"] == len(NEEDED)
    assert seen["frozen"] > 100_000

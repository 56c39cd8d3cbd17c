"""A job for the tests: sums squares in Python tasks; the first attempt at one task stops and waits to be lost.

``squares_job.py MARKER RESULT``: MARKER gets the process id of the task that waits, RESULT the sum as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import TaskContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

APP = "squares"
ROWS = 10_000
TASKS = 6
STOPS = 3
"""Number of the task that waits; tasks before it have left their part of the next shuffle with their executor."""


def main() -> None:
    marker, result = Path(sys.argv[1]), Path(sys.argv[2])
    session = SparkSession.builder.appName(APP).getOrCreate()

    def squares(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        assert context is not None
        if context.partitionId() == STOPS and not marker.exists():
            unfinished = marker.with_suffix(".unfinished")
            unfinished.write_text(str(os.getpid()))
            unfinished.rename(marker)
            time.sleep(120)
            raise TimeoutError("nobody has ended this executor")
        for batch in batches:
            square = pc.multiply(batch["id"], batch["id"])
            attempt = pa.repeat(context.attemptNumber(), len(square))
            yield pa.record_batch({"square": square, "attempt": attempt.cast(pa.int64())})

    frame = session.range(0, ROWS, 1, TASKS).mapInArrow(squares, "square long, attempt long")
    found = frame.repartition(4).agg(F.count("*"), F.sum("square"), F.max("attempt")).collect()[0]
    result.write_text(json.dumps(list(found)))


if __name__ == "__main__":
    main()

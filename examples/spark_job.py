"""Spark tables to a graph and labels, within a session that is there: what a job on a cluster does.

spark-submit examples/spark_job.py
"""

from __future__ import annotations

import tempfile

from pyspark.sql import SparkSession

import gnnscale as gs
from examples.shop import shop_frames


def main() -> None:
    """Take tables from the session, ask a question, and read the labels back with Spark."""
    spark = SparkSession.builder.master("local[2]").getOrCreate()
    frames = {name: spark.createDataFrame(frame) for name, frame in shop_frames().items()}
    graph = gs.Graph.from_tables(frames)
    query = graph.query("PREDICT COUNT(orders.*, 0, 7, days) = 0 FOR EACH customers.customer_id", name="quiet_week")
    with tempfile.TemporaryDirectory() as lake:
        query.label(lake, mode="fast")
        labels = spark.read.format("delta").load(f"{lake}/labels_quiet_week")
        labels.groupBy("split", "target").count().orderBy("split", "target").show()
    spark.stop()


if __name__ == "__main__":
    main()

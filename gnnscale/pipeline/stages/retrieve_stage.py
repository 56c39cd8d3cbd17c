"""The retrieve stage: the search under a progress bar, and its recall in the MLflow run of the training."""

from __future__ import annotations

import uuid
from dataclasses import asdict

from rich.console import Console

from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.pipeline.stages.open_graph import open_graph
from gnnscale.pipeline.workers.ray_index import ray_shards
from gnnscale.query import AnchorPlan
from gnnscale.retrieval import retrieve
from gnnscale.tracking import last_run, progress_bar

RETRIEVAL = "retrieval_{query}"
"""Name of the record of what the stage found."""


def retrieve_and_describe(settings: Settings, lake: Lake, plan: AnchorPlan, console: Console, force: bool) -> str:
    """Write predictions and holdout, and tell how near to exact search they are.

    Args:
        settings: the configuration.
        lake: holds embeddings and indexes.
        plan: anchors of the query.
        console: where progress is shown.
        force: make files again that an earlier run has finished.

    Returns:
        What was done, in a few words.

    Raises:
        GnnscaleError: see :func:`gnnscale.retrieval.retrieve_stage`.
    """
    store, query = open_graph(settings, lake)
    entities = store.node_count(query.entity.name)
    again = uuid.uuid4().hex if force else ""
    with (
        progress_bar(console, "retrieve", 2 * entities, query.entity.name) as bar,
        ray_shards(settings) as start_workers,
    ):
        done = retrieve(settings, lake, query, plan, store, bar.advance, again, start_workers)
    index = done.index
    lake.write_record(
        RETRIEVAL.format(query=settings.query.name),
        {"rows": done.rows, "recall": asdict(done.recall), "index": index.to_dict()},
    )
    if run := last_run(settings, lake):
        run.log_metrics(
            {
                "retrieval/recall": done.recall.mean,
                "retrieval/recall_low": done.recall.low,
                "retrieval/recall_high": done.recall.high,
                "retrieval/index_seconds": index.seconds,
            }
        )
    return f"{query.top_k} {query.target.name} for each of {entities:,} {query.entity.name}; {done.recall}"

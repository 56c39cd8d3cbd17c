"""The embed stage: the sweep under a progress bar."""

from __future__ import annotations

import uuid

from rich.console import Console

from gnnscale.config import Settings
from gnnscale.inference import inference_work
from gnnscale.lake import Lake
from gnnscale.pipeline.stages.open_graph import open_graph
from gnnscale.pipeline.stages.train_stage import trained_settings
from gnnscale.pipeline.workers.ray_embed import embed_lake
from gnnscale.query import AnchorPlan
from gnnscale.tracking import progress_bar


def embed_and_describe(settings: Settings, lake: Lake, plan: AnchorPlan, console: Console, force: bool) -> str:
    """Write the embeddings at the test anchor and at that of the predictions.

    Args:
        settings: the configuration.
        lake: holds the graph and the model.
        plan: anchors of the query.
        console: where progress is shown.
        force: make files again that an earlier run has finished.

    Returns:
        What was done, in a few words.

    Raises:
        GnnscaleError: see :func:`gnnscale.pipeline.workers.ray_embed.embed_lake`.
    """
    store, query = open_graph(settings, lake)
    anchors = list(dict.fromkeys((plan.test, plan.latest)))
    tables = (query.target.name, query.entity.name)
    counts = [store.node_count(table) for table in tables]
    again = uuid.uuid4().hex if force else ""
    trained = trained_settings(settings, lake)
    with progress_bar(console, "embed", inference_work(trained, lake, store, anchors), "rows") as bar:
        summary = embed_lake(trained, lake, anchors, bar.advance, again)
    told = f"{counts[0]:,} {tables[0]} and {counts[1]:,} {tables[1]} at {len(anchors)} anchors"
    return f"{told}; {summary.in_words()}" if summary.in_words() else told

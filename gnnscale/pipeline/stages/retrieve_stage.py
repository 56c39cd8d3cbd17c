"""The retrieve stage: embeddings to ranked predictions, and their recall in the MLflow run of the training."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from rich.console import Console

# Doors that are lazy: a stage is known, and skipped, without torch and Ray.
from gnnscale import retrieval, tracking
from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.pipeline import workers
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.stages.embed_stage import EmbedStage
from gnnscale.pipeline.stages.index_stage import IndexStage
from gnnscale.pipeline.stages.train_stage import ModelStage, trained_settings
from gnnscale.query import AnchorPlan, PredictiveQuery
from gnnscale.tracking import progress_bar

RETRIEVAL = "retrieval_{query}"
"""Name of the record of what the stage found."""


class RetrieveStage(ModelStage):
    """Embeddings to ranked predictions."""

    name = "retrieve"
    help = "rank the top-k targets of every entity"
    after = EmbedStage

    def inputs(self) -> dict[str, Any]:
        """Embeddings and how they are searched."""
        lake, wanted = self.work.lake, self.settings.retrieval
        lists = {name: lake.version(name) for name in wanted.filters.tables if lake.exists(name)}
        return {
            "embed": self.upstream(EmbedStage),
            "retrieval": wanted.model_dump(),
            "lists": lists,
            "blend": self.settings.model.blend,
            "baselines": self.settings.evaluation.model_dump(exclude={"resamples", "examples"}),
        }

    def intact(self) -> bool:
        """Whether the model's blend is there."""
        return self.work.lake.has_file(f"_models/{self.settings.query.name}/blend.json")

    def outputs(self) -> list[str]:
        """Predictions and the holdout."""
        return [f"predictions_{self.settings.query.name}", f"holdout_{self.settings.query.name}"]

    def make(self) -> str:
        """Index, where that is not done, and search."""
        IndexStage(self.work).run()
        return retrieve_and_describe(self.settings, self.work.lake, self.work.plan, self.work.console, self.work.force)


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
    from gnnscale.evaluation import LinkBlender, fit_link_blend, save_blend

    store, query = open_graph(settings, lake)
    blend = fit_link_blend(trained_settings(settings, lake), lake, store, query)
    save_blend(lake, settings.query.name, blend)
    off = settings.model.blend == "off" or blend.is_network
    reranker = None if off else LinkBlender(settings, lake, store, query, blend)
    entities = store.node_count(query.entity.name)
    run_nonce = uuid.uuid4().hex if force else ""
    with (
        progress_bar(console, "retrieve", (len(plan.tests) + 1) * entities, "lists") as bar,
        workers.ray_shards(settings) as start_workers,
    ):
        done = retrieval.retrieve(
            settings,
            lake,
            query,
            plan,
            store,
            bar.advance,
            run_nonce,
            start_workers,
            reranker,
            blend.new_only,
            blend.calibration,
        )
    index = done.index
    lake.write_record(
        RETRIEVAL.format(query=settings.query.name),
        {"rows": done.rows, "recall": asdict(done.recall), "index": index.to_dict()},
    )
    if run := tracking.last_run(settings, lake):
        run.log_metrics(
            {
                "retrieval/recall": done.recall.mean,
                "retrieval/recall_low": done.recall.low,
                "retrieval/recall_high": done.recall.high,
                "retrieval/index_seconds": index.seconds,
            }
        )
    lists = _lists(query, store.node_count(query.target.name), done.rows / max(1, done.entities))
    return f"{lists} for each of {done.entities:,} {query.entity.name}; {done.recall}; blend: {blend.in_words()}"


def _lists(query: PredictiveQuery, targets: int, rows: float) -> str:
    """What an entity is given, where there may be fewer targets than it should be; ``rows`` are those of a list."""
    if query.top_k <= targets:
        # Filters, and ends of targets, leave less.
        short = "" if rows >= query.top_k else f" at most, {rows:.1f} on average,"
        return f"{query.top_k} {query.target.name}{short}"
    return f"all {targets:,} {query.target.name} (TOP {query.top_k} asks for more than there are)"

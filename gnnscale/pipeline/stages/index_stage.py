"""The index stage: embeddings to indexes of the targets."""

from __future__ import annotations

from typing import Any

from gnnscale.pipeline.stages.embed_stage import EmbedStage
from gnnscale.pipeline.stages.train_stage import ModelStage


class IndexStage(ModelStage):
    """Embeddings to indexes of the targets; the retrieve stage begins with it."""

    name = "index"
    help = "build indexes of the target embeddings; the retrieve stage does so where there are none"
    after = EmbedStage

    def inputs(self) -> dict[str, Any]:
        """Embeddings, anchors and how they are indexed."""
        plan, top_k = self.work.plan, self.work.query.top_k
        wanted = self.settings.retrieval.index.model_dump()
        return {
            "embed": self.upstream(EmbedStage),
            "anchors": [*plan.tests, plan.latest],
            "places": top_k,
            "index": wanted,
            "seed": self.settings.seed,
        }

    def outputs(self) -> list[str]:
        """No table: files of the indexes."""
        return []

    def intact(self) -> bool:
        """Whether the indexes are there, whole, and of the embeddings that there are now."""
        from gnnscale.retrieval import is_intact

        name, plan = self.settings.query.name, self.work.plan
        return all(is_intact(self.work.lake, name, anchor) for anchor in (*plan.tests, plan.latest))

    def make(self) -> str:
        """Build the indexes and measure their recall."""
        from gnnscale.pipeline.workers import ray_shards
        from gnnscale.retrieval import build_query_indexes

        work, anchors = self.work, [*self.work.plan.tests, self.work.plan.latest]
        with ray_shards(self.settings) as start_workers:
            latest = build_query_indexes(self.settings, work.lake, work.query, anchors, start_workers)[-1]
        return f"{latest.size:,} {work.query.target.name}, {latest.in_words()}: {latest.recall}"

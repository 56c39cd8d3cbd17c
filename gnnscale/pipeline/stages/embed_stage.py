"""The embed stage: model to embeddings, under a progress bar."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from rich.console import Console

# Doors that are lazy: a stage is known, and skipped, without torch and Ray.
from gnnscale import inference
from gnnscale.config import Settings
from gnnscale.lake import Lake, fingerprint
from gnnscale.pipeline import workers
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.stages.graph_stage import GraphStage
from gnnscale.pipeline.stages.stage import Stage
from gnnscale.pipeline.stages.train_stage import ModelStage, TrainStage, trained_settings
from gnnscale.query import AnchorPlan
from gnnscale.schema import LakeError
from gnnscale.tracking import progress_bar


class EmbedStage(ModelStage):
    """Model to embeddings and pair scores."""

    name = "embed"
    help = "compute embeddings of entities and targets, for ranking queries"
    on_gpu = True
    after = TrainStage

    def inputs(self) -> dict[str, Any]:
        """The model and the anchors."""
        plan = self.work.plan
        return {"train": self.upstream(TrainStage), "anchors": [*plan.tests, plan.latest]}

    def upstream(self, stage: type[Stage]) -> str:
        """Fingerprint of an earlier stage; with ``embedding.only_changed`` the model may be older than the graph.

        Raises:
            LakeError: the model is missing or out of date.
        """
        if stage is not TrainStage or not self.settings.embedding.only_changed:
            return super().upstream(stage)
        model = self.work.lake.read_bytes(TrainStage(self.work).model_file)
        if model is None:
            raise LakeError(f"lake {self.work.lake.uri} lacks what the train stage makes; run it first")
        return fingerprint({"graph": super().upstream(GraphStage), "model": hashlib.sha256(model).hexdigest()})

    def outputs(self) -> list[str]:
        """Embeddings of both ends, and pairs."""
        query = self.work.query
        return [
            f"embeddings_{query.entity_embeddings}",
            f"embeddings_{query.target.name}",
            f"pairs_{self.settings.query.name}",
        ]

    def make(self) -> str:
        """Embed all entities and targets, with Ray where they are many."""
        return embed_and_describe(self.settings, self.work.lake, self.work.plan, self.work.console, self.work.force)


def embed_and_describe(settings: Settings, lake: Lake, plan: AnchorPlan, console: Console, force: bool) -> str:
    """Write the embeddings at the test anchors and at that of the predictions.

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
    anchors = list(dict.fromkeys((*plan.tests, plan.latest)))
    tables = (query.target.name, query.entity.name)
    counts = [store.node_count(table) for table in tables]
    run_nonce = uuid.uuid4().hex if force else ""
    trained = trained_settings(settings, lake)
    with progress_bar(console, "embed", inference.inference_work(trained, lake, store, anchors), "rows") as bar:
        summary = workers.embed_lake(trained, lake, anchors, bar.advance, run_nonce)
    text = f"{counts[0]:,} {tables[0]} and {counts[1]:,} {tables[1]} at {len(anchors)} anchors"
    return f"{text}; {summary.in_words()}" if summary.in_words() else text

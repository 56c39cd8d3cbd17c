"""The refresh stage: entities with new events get new vectors, and the others keep theirs."""

from __future__ import annotations

import hashlib
from typing import Any, Final

# A door that is lazy: a stage is known, and skipped, without torch.
from gnnscale import inference
from gnnscale.lake import fingerprint
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.stages.graph_stage import GraphStage
from gnnscale.pipeline.stages.stage import Stage
from gnnscale.pipeline.stages.train_stage import TrainStage, trained_settings
from gnnscale.schema import ConfigError, LakeError
from gnnscale.tracking import progress_bar

REFRESHED: Final = "refreshed_{query}"
"""Record of what the stage did last."""


class RefreshStage(Stage):
    """Vectors of entities as of ``anchors.latest``, by the model as it is, though the graph has grown since."""

    name = "refresh"
    help = "embed the entities that have new events, over the vectors of the last run"

    def inputs(self) -> dict[str, Any]:
        """The graph, the model, and the time.

        Raises:
            ConfigError: the query's events have no times.
            LakeError: there is no graph, or no model.
        """
        work = self.work
        if work.query.pseudo_timed_tables:
            raise ConfigError("a query without a window takes events without their times: nothing is new of a day")
        model = work.lake.read_bytes(TrainStage(work).model_file)
        if model is None:
            raise LakeError(f"lake {work.lake.uri} lacks what the train stage makes; run it first")
        return {
            "graph": fingerprint(work.manifest.to_dict()),
            "model": hashlib.sha256(model).hexdigest(),
            "as_of": work.plan.latest,
        }

    def outputs(self) -> list[str]:
        """The latest vector of every entity."""
        return [f"refreshed_{self.settings.query.name}"]

    def is_current(self) -> bool:
        """Whether :meth:`run` would skip the stage; where there is no graph or no model yet, it would not."""
        try:
            return super().is_current()
        except LakeError:
            return False

    def make(self) -> str:
        """Refresh, in this process."""
        work, name = self.work, self.settings.query.name
        import torch

        settings = trained_settings(self.settings, work.lake)
        store, _ = open_graph(settings, work.lake)
        device = torch.device("cuda" if torch.cuda.is_available() and settings.training.gpu != "no" else "cpu")
        with progress_bar(work.console, "refresh", 1, work.query.entity.name) as bar:
            shown = inference.Shown(bar.resize, bar.advance)
            done = inference.refresh_vectors(settings, work.lake, store, work.plan.latest, device, shown, work.force)
        work.lake.vacuum(self.outputs()[0], self.settings.publish.keep_days)
        work.lake.write_record(REFRESHED.format(query=name), done.to_dict())
        return done.in_words()


REFRESH_ORDER: Final = (GraphStage.name, RefreshStage.name, "publish")
"""Stages of a day: rows that are new in the sources, vectors of those whom they are of, and the store."""

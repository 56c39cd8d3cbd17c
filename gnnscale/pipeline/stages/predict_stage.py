"""The predict stage: model to a value or classes of every entity."""

from __future__ import annotations

from typing import Any

from gnnscale.pipeline.stages.train_stage import ModelStage, TrainStage, trained_settings
from gnnscale.tracking import progress_bar


class PredictStage(ModelStage):
    """Model to a value or to classes for every entity."""

    name = "predict"
    help = "predict a value or class for every entity"
    on_gpu = True
    after = TrainStage

    def inputs(self) -> dict[str, Any]:
        """The model, the anchors, and who is asked for."""
        plan = self.work.plan
        return {
            "train": self.upstream(TrainStage),
            "anchors": [*plan.tests, plan.latest],
            "text": self.work.query.text,
            "blend": self.settings.model.blend,
        }

    def outputs(self) -> list[str]:
        """Predictions, the holdout, and what every method says of the test examples."""
        return [f"{kind}_{self.settings.query.name}" for kind in ("predictions", "holdout", "methods")]

    def intact(self) -> bool:
        """Whether the model's blend is there."""
        return self.work.lake.has_file(f"_models/{self.settings.query.name}/blend.json")

    def make(self) -> str:
        """Predict for the whole population."""
        from gnnscale.evaluation import FittedAnswers
        from gnnscale.inference import predict, query_population
        from gnnscale.store import GraphStore

        lake, query, plan = self.work.lake, self.work.query, self.work.plan
        settings, store = trained_settings(self.settings, lake), GraphStore.open(lake, self.settings.lake.cache)
        nodes = query_population(lake, query, self.settings.query.name)
        record = lake.read_record(f"task_{self.settings.query.name}") or {}
        rows = store.node_count(query.entity.name) if nodes is None else len(nodes)
        rows += record.get("splits", {}).get("test", {}).get("examples", 0)
        with progress_bar(self.work.console, "predict", rows, query.entity.name) as bar:
            answer = FittedAnswers(settings, lake, store, query, plan.latest)
            counts = predict(settings, lake, store, plan.latest, nodes, advance=bar.advance, answer=answer)
        many = f"{counts[f'predictions_{self.settings.query.name}']:,} {query.entity.name}"
        return f"{query.task_type} for {many}; blend: {answer.blend.in_words()}"

"""The stages of the main job: what each reads, makes and needs to know to be skipped."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from gnnscale.config import RECIPE, build_graph_schema, recipe_record
from gnnscale.lake import find_source, fingerprint, source_state
from gnnscale.pipeline.stages.stage import Stage
from gnnscale.query import PredictiveQuery
from gnnscale.schema import MANIFEST_NAME, ConfigError, LakeError
from gnnscale.tracking import progress_bar


class GraphStage(Stage):
    """Raw tables to ids, nodes, edges of links and relations, and the manifest."""

    name = "graph"
    per_query = False

    def inputs(self) -> dict[str, Any]:
        """Sources, tables and how they are encoded: nothing of any query."""
        options = self.settings.lake.storage_options
        sources = {
            t.name: source_state(find_source(t.name, t.source, options), options)
            for t in build_graph_schema(self.settings).tables.values()
        }
        return {
            "sources": sources,
            "tables": {name: table.model_dump(mode="json") for name, table in self.settings.tables.items()},
            "graph": self.settings.graph.model_dump(mode="json"),
            "relations": {name: relation.model_dump(mode="json") for name, relation in self.settings.relations.items()},
        }

    def outputs(self) -> list[str]:
        """Ids and nodes of every table, and edges."""
        tables = [f"nodes_{name}" for name in self.settings.tables]
        tables += [f"ids_{name}" for name, table in self.settings.tables.items() if table.primary_key]
        if self.work.lake.read_record(MANIFEST_NAME) is not None:
            tables += [edge_type.table_name for edge_type in self.work.manifest.edge_types]
        return tables

    def make(self) -> str:
        """Run on Spark; a graph whose sources only grew is extended."""
        from gnnscale.etl import open_session, update_graph

        session = open_session(self.settings.spark)
        update = update_graph(session, self.work.lake, self.settings, rebuild=self.work.force)
        manifest = update.manifest
        self.work.lake.write_record(RECIPE, recipe_record(self.settings))
        nodes = sum(table.rows - table.deleted for table in manifest.tables)
        edges = sum(link.edges for link in manifest.links)
        told = f"{nodes:,} nodes of {len(manifest.tables)} tables, {edges:,} edges of {len(manifest.links)} links"
        if manifest.relations:
            derived = sum(relation.edges for relation in manifest.relations)
            told += f", {derived:,} of {len(manifest.relations)} relations"
        return told if update.added is None else f"extended by {update.added:,} nodes to {told}"


class LabelStage(Stage):
    """Facts to labelled examples."""

    name = "labels"
    after = GraphStage

    def inputs(self) -> dict[str, Any]:
        """Graph, query and anchors."""
        return {
            "graph": self.upstream(GraphStage),
            "query": self.settings.query.model_dump(),
            "anchors": self.settings.anchors.model_dump(mode="json"),
        }

    def outputs(self) -> list[str]:
        """The labels, and who is asked about at the end."""
        name = self.settings.query.name
        return [f"labels_{name}"] + ([f"population_{name}"] if self.work.query.where is not None else [])

    def make(self) -> str:
        """Run on Spark."""
        from gnnscale.etl import TASK, build_labels, describe_labels, open_session

        session = open_session(self.settings.spark)
        build_labels(session, self.work.lake, self.settings, self.work.manifest)
        record = self.work.lake.read_record(TASK.format(query=self.settings.query.name))
        assert record is not None
        return describe_labels(record)


class ShardStage(Stage):
    """Examples to sampled subgraphs, for training where the graph does not fit; optional."""

    name = "shards"
    after = LabelStage

    def inputs(self) -> dict[str, Any]:
        """Labels, sampling and seed."""
        return {
            "labels": self.upstream(LabelStage),
            "sampling": self.settings.sampling.model_dump(exclude={"threads"}),
            "shards": self.settings.shards.model_dump(),
            "seed": self.settings.seed,
        }

    def outputs(self) -> list[str]:
        """The shards."""
        return [f"shards_{self.settings.query.name}"]

    def make(self) -> str:
        """Run on Spark."""
        from gnnscale.etl import build_shards, open_session
        from gnnscale.pipeline.stages.shard_plan import plan_shards

        plan = plan_shards(self.settings, self.work.query)
        session = open_session(self.settings.spark)
        examples = build_shards(session, self.work.lake, self.work.manifest, plan)
        return f"neighborhoods of {examples:,} examples"


class TrainStage(Stage):
    """Examples to a model."""

    name = "train"
    after = LabelStage

    def inputs(self) -> dict[str, Any]:
        """Labels, or the shards that were made of them, sampling, model, training and seed."""
        training = self.settings.training.model_dump(exclude={"gpu", "max_failures"})
        source = ShardStage if self.settings.training.source == "shards" else LabelStage
        return {
            source.name: self.upstream(source),
            "sampling": self.settings.sampling.model_dump(exclude={"threads"}),
            "model": self.settings.model.model_dump(),
            "training": training,
            "search": self.settings.search.model_dump(exclude={"parallel"}),
            "seed": self.settings.seed,
        }

    def outputs(self) -> list[str]:
        """No table: the model is a file."""
        return []

    @property
    def model_file(self) -> str:
        """Path of the model under the lake's root."""
        return f"_models/{self.settings.query.name}/model.pt"

    def intact(self) -> bool:
        """Whether the model file is there."""
        return self.work.lake.has_file(self.model_file)

    def make(self) -> str:
        """Train with Ray, under a new MLflow run."""
        from gnnscale.pipeline.stages.train_stage import train_and_track

        return train_and_track(self.settings, self.work.lake, self.work.console)


class EmbedStage(Stage):
    """Model to embeddings and pair scores."""

    name = "embed"
    after = TrainStage

    def inputs(self) -> dict[str, Any]:
        """The model and the anchors."""
        plan = self.work.plan
        return {"train": self.upstream(TrainStage), "anchors": [plan.test, plan.latest]}

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
            f"embeddings_{query.entity.name}",
            f"embeddings_{query.target.name}",
            f"pairs_{self.settings.query.name}",
        ]

    def make(self) -> str:
        """Sweep all entities and targets, with Ray where they are many."""
        from gnnscale.pipeline.stages.embed_stage import embed_and_describe

        return embed_and_describe(self.settings, self.work.lake, self.work.plan, self.work.console, self.work.force)


class IndexStage(Stage):
    """Embeddings to indexes of the targets; the retrieve stage begins with it."""

    name = "index"
    after = EmbedStage

    def inputs(self) -> dict[str, Any]:
        """Embeddings, anchors and how they are indexed."""
        plan, places = self.work.plan, self.work.query.places
        wanted = self.settings.retrieval.index.model_dump()
        return {
            "embed": self.upstream(EmbedStage),
            "anchors": [plan.test, plan.latest],
            "places": places,
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
        return all(is_intact(self.work.lake, name, anchor) for anchor in (plan.test, plan.latest))

    def make(self) -> str:
        """Build the indexes and measure their recall."""
        from gnnscale.pipeline.workers.ray_index import ray_shards
        from gnnscale.retrieval import build_query_indexes

        work, anchors = self.work, [self.work.plan.test, self.work.plan.latest]
        with ray_shards(self.settings) as start_workers:
            latest = build_query_indexes(self.settings, work.lake, work.query, anchors, start_workers)[-1]
        return f"{latest.size:,} {work.query.target.name}, {latest.in_words()}: {latest.recall}"


class RetrieveStage(Stage):
    """Embeddings to ranked predictions."""

    name = "retrieve"
    after = EmbedStage

    def inputs(self) -> dict[str, Any]:
        """Embeddings and how they are searched."""
        lake, wanted = self.work.lake, self.settings.retrieval
        lists = {name: lake.version(name) for name in wanted.filters.tables if lake.exists(name)}
        return {"embed": self.upstream(EmbedStage), "retrieval": wanted.model_dump(), "lists": lists}

    def outputs(self) -> list[str]:
        """Predictions and the holdout."""
        return [f"predictions_{self.settings.query.name}", f"holdout_{self.settings.query.name}"]

    def make(self) -> str:
        """Index, where that is not done, and search."""
        from gnnscale.pipeline.stages.retrieve_stage import retrieve_and_describe

        IndexStage(self.work).run()
        return retrieve_and_describe(self.settings, self.work.lake, self.work.plan, self.work.console, self.work.force)


class PredictStage(Stage):
    """Model to a value or to classes for every entity."""

    name = "predict"
    after = TrainStage

    def inputs(self) -> dict[str, Any]:
        """The model, the anchors, and who is asked for."""
        plan = self.work.plan
        return {"train": self.upstream(TrainStage), "anchors": [plan.test, plan.latest], "text": self.work.query.text}

    def outputs(self) -> list[str]:
        """Predictions and the holdout."""
        return [f"predictions_{self.settings.query.name}", f"holdout_{self.settings.query.name}"]

    def make(self) -> str:
        """Sweep all entities."""
        from gnnscale.inference import predict, query_population
        from gnnscale.pipeline.stages.train_stage import trained_settings
        from gnnscale.store import GraphStore

        lake, query, plan = self.work.lake, self.work.query, self.work.plan
        settings, store = trained_settings(self.settings, lake), GraphStore.open(lake, self.settings.lake.cache)
        nodes = query_population(lake, query, self.settings.query.name)
        record = lake.read_record(f"task_{self.settings.query.name}") or {}
        rows = store.node_count(query.entity.name) if nodes is None else len(nodes)
        rows += record.get("splits", {}).get("test", {}).get("examples", 0)
        with progress_bar(self.work.console, "predict", rows, query.entity.name) as bar:
            counts = predict(settings, lake, store, plan.latest, nodes, advance=bar.advance)
        return f"{query.task_type} for {counts[f'predictions_{self.settings.query.name}']:,} {query.entity.name}"


class EvaluateStage(Stage):
    """Holdout against truth and baselines, to a report."""

    name = "evaluate"
    after: ClassVar[type[Stage] | None] = RetrieveStage

    def inputs(self) -> dict[str, Any]:
        """Predictions, and how they are judged."""
        assert self.after is not None
        return {
            "before": self.upstream(self.after),
            "evaluation": self.settings.evaluation.model_dump(),
            "tracking": self.settings.tracking.model_dump(),
            "tables": {name: table.display for name, table in self.settings.tables.items()},
        }

    def outputs(self) -> list[str]:
        """No table: a record, a report and MLflow's figures."""
        return []

    def make(self) -> str:
        """Evaluate and report."""
        from gnnscale.pipeline.stages.evaluate_stage import evaluate_and_report

        return evaluate_and_report(self.settings, self.work.lake, self.work.query, self.work.plan, self.work.done)


class EvaluateTaskStage(EvaluateStage):
    """The same of values or classes."""

    after = PredictStage


LINK_STAGES: tuple[type[Stage], ...] = (
    GraphStage,
    LabelStage,
    TrainStage,
    EmbedStage,
    RetrieveStage,
    EvaluateStage,
)
"""From tables to rankings, in order."""

ENTITY_STAGES: tuple[type[Stage], ...] = (GraphStage, LabelStage, TrainStage, PredictStage, EvaluateTaskStage)
"""From tables to values or classes, in order."""


def stages_of(query: PredictiveQuery) -> tuple[type[Stage], ...]:
    """The stages that answer a query, in order."""
    return LINK_STAGES if query.task_type.predicts_links else ENTITY_STAGES


def find_stage(query: PredictiveQuery, name: str) -> type[Stage]:
    """The stage of that name.

    Raises:
        ConfigError: the query's task has none.
    """
    beside = (ShardStage, IndexStage) if query.task_type.predicts_links else (ShardStage,)
    stages: tuple[type[Stage], ...] = (*stages_of(query), *beside)
    for stage in stages:
        if stage.name == name:
            return stage
    names = ", ".join(stage.name for stage in stages)
    raise ConfigError(f"{query.task_type} has no {name} stage; its stages are {names}")

"""The stages of the main job: what each reads, makes and needs to know to be skipped."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from rich.console import Console

import gnnscale
from gnnscale.config import Settings, bind_query, build_graph_schema, plan_query_anchors, recipe_record
from gnnscale.config.ask import RECIPE
from gnnscale.lake import (
    Lake,
    StageRecord,
    find_source,
    fingerprint,
    is_current,
    read_stage,
    source_state,
    write_stage,
)
from gnnscale.query import PredictiveQuery
from gnnscale.query.anchors import AnchorPlan
from gnnscale.schema import ConfigError, GraphManifest, LakeError
from gnnscale.schema.manifest import MANIFEST_NAME
from gnnscale.tracking import progress_bar

log = logging.getLogger(__name__)


@dataclass
class Work:
    """What the stages of one run share.

    Args:
        settings: the configuration.
        console: where progress is shown.
        force: run stages whose inputs have not changed, too.
    """

    settings: Settings
    console: Console
    force: bool = False
    done: list[tuple[str, float, str]] = field(default_factory=list)

    @cached_property
    def lake(self) -> Lake:
        """The configured lake."""
        return Lake(self.settings.lake.uri, self.settings.lake.storage_options)

    @property
    def manifest(self) -> GraphManifest:
        """Of the graph that the lake holds.

        Raises:
            LakeError: there is none.
        """
        record = self.lake.read_record(MANIFEST_NAME)
        if record is None:
            raise LakeError(f"lake {self.lake.uri} holds no graph; run the graph stage first")
        return GraphManifest.from_dict(record)

    @property
    def query(self) -> PredictiveQuery:
        """The query, bound to the graph."""
        return bind_query(self.settings, self.manifest)

    @property
    def plan(self) -> AnchorPlan:
        """Anchors of the query."""
        query = self.query
        return plan_query_anchors(self.settings, query, self.manifest.time_ranges)


class Stage(ABC):
    """One step from tables to predictions."""

    name: ClassVar[str]
    per_query: ClassVar[bool] = True
    after: ClassVar[type[Stage] | None] = None

    def __init__(self, work: Work) -> None:
        self.work = work
        self.settings = work.settings

    @property
    def record_name(self) -> str:
        """Under which the lake keeps what the stage did last."""
        return f"{self.settings.query.name}_{self.name}" if self.per_query else self.name

    @abstractmethod
    def inputs(self) -> dict[str, Any]:
        """Everything that the result depends on."""

    @abstractmethod
    def outputs(self) -> list[str]:
        """Tables that the stage writes."""

    @abstractmethod
    def make(self) -> str:
        """Do the work and say what was done, in a few words."""

    def run(self) -> StageRecord:
        """Do the work, or skip it where nothing has changed."""
        lake = self.work.lake
        if self.is_current():
            record = read_stage(lake, self.record_name)
            assert record is not None
            log.info("%-8s nothing has changed: %s", self.name, record.detail)
        else:
            log.info("%-8s ...", self.name)
            started = time.monotonic()
            digest = self.digest()
            upstream = self.upstream(self.after) if self.after else ""
            detail = self.make()
            record = write_stage(lake, self.record_name, digest, started, detail, self.outputs(), upstream)
            log.info("%-8s %.0f s: %s", self.name, record.seconds, record.detail)
        self.work.done.append((self.name, record.seconds, record.detail))
        return record

    def is_current(self) -> bool:
        """Whether :meth:`run` would skip the stage; an earlier stage that never ran means no."""
        lake = self.work.lake
        if self.work.force or read_stage(lake, self.record_name) is None:
            return False
        try:
            digest = self.digest()
        except LakeError:
            if self.after is None:
                raise
            return False
        return is_current(lake, self.record_name, digest, self.outputs()) and self.intact()

    def digest(self) -> str:
        """Fingerprint of the inputs, the configuration and the program."""
        return fingerprint({"version": gnnscale.__version__, **self.inputs()})

    def intact(self) -> bool:
        """Whether what the stage leaves beside its tables is there."""
        return True

    def upstream(self, stage: type[Stage]) -> str:
        """Fingerprint of an earlier stage, whose tables are still those that it made.

        Raises:
            LakeError: it was not run, or a stage before it has run again since.
        """
        earlier = stage(self.work)
        record = read_stage(self.work.lake, earlier.record_name)
        if record is None:
            raise LakeError(f"lake {self.work.lake.uri} lacks what the {stage.name} stage makes; run it first")
        stale = earlier.after is not None and record.upstream != earlier.upstream(earlier.after)
        if stale or not earlier.intact() or not record.holds(self.work.lake):
            raise LakeError(
                f"what the {stage.name} stage made in lake {self.work.lake.uri} is out of date: a stage before it, or "
                "another query, has run since; run it again"
            )
        return record.fingerprint


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
        from gnnscale.etl.graph_update import update_graph
        from gnnscale.etl.session import open_session

        session = open_session(self.settings.spark)
        update = update_graph(session, self.work.lake, self.settings, rebuild=self.work.force)
        manifest = update.manifest
        self.work.lake.write_record(RECIPE, recipe_record(self.settings))
        nodes = sum(table.rows - table.gone for table in manifest.tables)
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
        from gnnscale.etl.label_stage import TASK, build_labels, describe_labels
        from gnnscale.etl.session import open_session

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
        from gnnscale.etl.session import open_session
        from gnnscale.etl.shards import build_shards
        from gnnscale.launch.shard_plan import plan_shards

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

    def intact(self) -> bool:
        """Whether the model file is there."""
        return self.work.lake.has_file(f"_models/{self.settings.query.name}/model.pt")

    def make(self) -> str:
        """Train with Ray, under a new MLflow run."""
        from gnnscale.launch.train_stage import train_and_track

        return train_and_track(self.settings, self.work.lake, self.work.console)


class EmbedStage(Stage):
    """Model to embeddings and pair scores."""

    name = "embed"
    after = TrainStage

    def inputs(self) -> dict[str, Any]:
        """The model and the anchors."""
        plan = self.work.plan
        return {"train": self.upstream(TrainStage), "anchors": [plan.test, plan.latest]}

    def outputs(self) -> list[str]:
        """Embeddings of both ends, and pairs."""
        query = self.work.query
        return [
            f"embeddings_{query.entity.name}",
            f"embeddings_{query.target.name}",
            f"pairs_{self.settings.query.name}",
        ]

    def make(self) -> str:
        """Sweep all entities and targets."""
        from gnnscale.inference import embed
        from gnnscale.launch.train_stage import trained_settings
        from gnnscale.store import GraphStore, view_for

        query, plan = self.work.query, self.work.plan
        store = view_for(GraphStore.open(self.work.lake, self.settings.lake.cache), query.arriving_facts)
        anchors = list(dict.fromkeys((plan.test, plan.latest)))
        counts = [store.node_count(table.name) for table in (query.target, query.entity)]
        with progress_bar(self.work.console, "embed", sum(counts) * len(anchors), "rows") as bar:
            embed(trained_settings(self.settings, self.work.lake), self.work.lake, store, anchors, advance=bar.advance)
        return f"{counts[0]:,} {query.target.name} and {counts[1]:,} {query.entity.name} at {len(anchors)} anchors"


class RetrieveStage(Stage):
    """Embeddings to ranked predictions."""

    name = "retrieve"
    after = EmbedStage

    def inputs(self) -> dict[str, Any]:
        """Embeddings and how they are searched."""
        return {"embed": self.upstream(EmbedStage), "retrieval": self.settings.retrieval.model_dump()}

    def outputs(self) -> list[str]:
        """Predictions and the holdout."""
        return [f"predictions_{self.settings.query.name}", f"holdout_{self.settings.query.name}"]

    def make(self) -> str:
        """Index and search."""
        from gnnscale.retrieval import retrieve

        query, plan = self.work.query, self.work.plan
        entities = self.work.manifest.table(query.entity.name).rows
        with progress_bar(self.work.console, "retrieve", 2 * entities, query.entity.name) as bar:
            retrieve(self.settings, self.work.lake, query, plan, advance=bar.advance)
        return f"{query.places} {query.target.name} for each of {entities:,} {query.entity.name}"


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
        from gnnscale.inference import asked_nodes, predict
        from gnnscale.launch.train_stage import trained_settings
        from gnnscale.store import GraphStore

        lake, query, plan = self.work.lake, self.work.query, self.work.plan
        settings, store = trained_settings(self.settings, lake), GraphStore.open(lake, self.settings.lake.cache)
        nodes = asked_nodes(lake, query, self.settings.query.name)
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
        from gnnscale.launch.evaluate_stage import evaluate_and_report

        return evaluate_and_report(self.settings, self.work.lake, self.work.query, self.work.plan, self.work.done)


class EvaluateTaskStage(EvaluateStage):
    """Values or classes against truth and baselines, to a report."""

    after = PredictStage

    def make(self) -> str:
        """Evaluate and report."""
        from gnnscale.launch.evaluate_task_stage import evaluate_task_and_report

        return evaluate_task_and_report(self.settings, self.work.lake, self.work.query, self.work.plan, self.work.done)


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
    return LINK_STAGES if query.task_type.is_link_prediction else ENTITY_STAGES


def find_stage(query: PredictiveQuery, name: str) -> type[Stage]:
    """The stage of that name.

    Raises:
        ConfigError: the query's task has none.
    """
    stages: tuple[type[Stage], ...] = (*stages_of(query), ShardStage)
    for stage in stages:
        if stage.name == name:
            return stage
    names = ", ".join(stage.name for stage in stages)
    raise ConfigError(f"{query.task_type} has no {name} stage; its stages are {names}")

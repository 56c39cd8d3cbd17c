"""The stages of a query in their order: which there are, which would be skipped, and the run of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from gnnscale.lake import StageRecord, read_stage
from gnnscale.pipeline import workers
from gnnscale.pipeline.failures import explain_failure, full_disk, lost_process
from gnnscale.pipeline.preflight import check_inputs, check_model
from gnnscale.pipeline.room import check_room
from gnnscale.pipeline.stages.embed_stage import EmbedStage
from gnnscale.pipeline.stages.evaluate_stage import EvaluateAnswersStage, EvaluateStage
from gnnscale.pipeline.stages.feature_stage import FeatureStage
from gnnscale.pipeline.stages.graph_stage import GraphStage
from gnnscale.pipeline.stages.index_stage import IndexStage
from gnnscale.pipeline.stages.label_stage import LabelStage
from gnnscale.pipeline.stages.predict_stage import PredictStage
from gnnscale.pipeline.stages.publish_stage import PublishStage
from gnnscale.pipeline.stages.refresh_stage import RefreshStage
from gnnscale.pipeline.stages.retrieve_stage import RetrieveStage
from gnnscale.pipeline.stages.shard_stage import ShardStage
from gnnscale.pipeline.stages.stage import PipelineContext, Stage
from gnnscale.pipeline.stages.train_stage import TrainStage
from gnnscale.pipeline.table_copies import TableCopies
from gnnscale.query import PredictiveQuery
from gnnscale.schema import ConfigError, GnnscaleError, LakeError, LostProcessError

Stages = tuple[type[Stage], ...]

LINK_STAGES: Stages = (GraphStage, LabelStage, TrainStage, EmbedStage, RetrieveStage, EvaluateStage)
"""From tables to rankings, in order."""

ENTITY_STAGES: Stages = (GraphStage, LabelStage, TrainStage, PredictStage, EvaluateAnswersStage)
"""From tables to values or classes, in order."""

ALL_STAGES: Stages = (
    GraphStage,
    LabelStage,
    FeatureStage,
    ShardStage,
    TrainStage,
    EmbedStage,
    IndexStage,
    RetrieveStage,
    PredictStage,
    EvaluateStage,
    PublishStage,
    RefreshStage,
)
"""Every stage that can be run alone, in the order in which they are listed."""


@dataclass(frozen=True)
class PlannedStage:
    """What a run would do with a stage: skip it, where ``current`` says that nothing has changed."""

    name: str
    current: bool


class Pipeline:
    """The stages that answer one query.

    As a context, it gives Spark back at its end: a session that was there goes on as it was, one of its own stops.

    Args:
        context: configuration, lake and console.
        query: bound query; default: that of the configuration, after all inputs have been checked.

    Raises:
        GnnscaleError: see :func:`gnnscale.pipeline.check_inputs`.
    """

    def __init__(self, context: PipelineContext, query: PredictiveQuery | None = None) -> None:
        self.context = context
        self._copies = TableCopies(context)
        self._copies.settle()
        self.query = query or check_inputs(context.settings)
        check_model(context.settings, self.query)
        self.stages = self._order()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.context.spark.close(at_once=kind is not None and issubclass(kind, KeyboardInterrupt))

    def find(self, name: str) -> type[Stage]:
        """The stage of that name: one of the order, or one that can be run beside it.

        Raises:
            ConfigError: the query's task has none.
        """
        links: Stages = (IndexStage, RefreshStage) if self.query.task_type.predicts_links else ()
        stages: Stages = tuple(dict.fromkeys((*self.stages, FeatureStage, ShardStage, PublishStage, *links)))
        for stage in stages:
            if stage.name == name:
                return stage
        names = ", ".join(stage.name for stage in stages)
        raise ConfigError(f"{self.query.task_type} has no {name} stage; its stages are {names}")

    def plan(self, names: Sequence[str] | None = None) -> list[PlannedStage]:
        """What :meth:`run` would do; nothing is changed.

        Args:
            names: of stages; default: the whole order.
        """
        planned: list[PlannedStage] = []
        for stage in self._chosen(names):
            unchanged = all(earlier.current for earlier in planned)
            planned.append(PlannedStage(stage.name, unchanged and stage(self.context).is_current()))
        return planned

    def run(
        self,
        names: Sequence[str] | None = None,
        done: Callable[[str, StageRecord], None] = lambda name, record: None,
    ) -> None:
        """Run stages, skipping those whose inputs and configuration have not changed.

        Args:
            names: of stages, in their order; default: the whole order.
            done: called for each stage that has run or was skipped.

        Raises:
            GnnscaleError: what a stage was given is at fault; what stages before it made stays.
            LostProcessError: Spark's JVM, or a process that Ray needs, was killed.
        """
        check_room(self.context.lake)
        chosen = self._chosen(names)
        if GraphStage in chosen:
            self._copies.refresh()
        for stage in chosen:
            if not stage.on_spark:
                # Spark's work is done, and training wants the memory.
                self.context.spark.close()
            done(stage.name, self._run(stage(self.context)))

    def run_one(self, name: str) -> StageRecord:
        """Run one stage, or skip it where nothing has changed.

        Raises:
            ConfigError: the query's task has none of that name.
            GnnscaleError: what it was given is at fault, or a stage before it has not run.
        """
        records: list[StageRecord] = []
        self.run([name], lambda _, record: records.append(record))
        return records[0]

    def last_record(self, name: str) -> StageRecord:
        """What a stage has told of its last run, here or elsewhere.

        Raises:
            ConfigError: the query's task has no such stage.
            LakeError: the lake knows of none.
        """
        record = read_stage(self.context.lake, self.find(name)(self.context).record_name)
        if record is None:
            raise LakeError(f"lake {self.context.lake.uri} knows of no run of its {name} stage")
        return record

    def _run(self, stage: Stage) -> StageRecord:
        """Run a stage; what stops it and is no fault of a program is an error of one line."""
        try:
            return stage.run()
        except (Exception, KeyboardInterrupt) as error:
            told = isinstance(error, LostProcessError)
            lost = None if told else self.context.spark.find_lost() or workers.find_lost()
            unexplained = told or lost or not isinstance(error, GnnscaleError | KeyboardInterrupt)
            # A disk without room takes processes with it, and errors that name it not.
            if unexplained and (full := full_disk(self.context.lake)):
                raise full from error
            if lost:
                raise lost_process(*lost) from error
            if isinstance(error, GnnscaleError | KeyboardInterrupt):
                raise
            found = explain_failure(error, self.context.lake, self.context.settings.spark.driver_memory)
            if found is None:
                raise
            raise found from error

    def _order(self) -> Stages:
        """The stages of the query's task, with that of shards where the training reads them."""
        order = LINK_STAGES if self.query.task_type.predicts_links else ENTITY_STAGES
        if self.context.settings.training.source != "shards":
            return order
        place = order.index(LabelStage) + 1
        return (*order[:place], ShardStage, *order[place:])

    def _chosen(self, names: Sequence[str] | None) -> Stages:
        return self.stages if names is None else tuple(self.find(name) for name in names)


def stage_help() -> dict[str, str]:
    """Every stage that can be run alone -> what it turns into what."""
    return {stage.name: stage.help for stage in ALL_STAGES}

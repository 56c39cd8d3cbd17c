"""A stage of the main job: what it reads and makes, and when it is skipped."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from rich.console import Console

import gnnscale

# A door that is lazy: a stage is known, and skipped, without MLflow.
from gnnscale import tracking
from gnnscale.config import Settings, bind_query, plan_query_anchors
from gnnscale.lake import Lake, StageRecord, fingerprint, is_current, read_stage, to_portable, write_stage
from gnnscale.pipeline.room import is_small
from gnnscale.pipeline.spark_lease import SparkLease
from gnnscale.query import AnchorPlan, PredictiveQuery
from gnnscale.schema import MANIFEST_NAME, GraphManifest, LakeError

log = logging.getLogger(__name__)


@dataclass
class PipelineContext:
    """What the stages of one run share.

    Args:
        settings: the configuration.
        console: where progress is shown.
        force: run stages whose inputs have not changed, too.
        read_only: whether the run may look, and write nothing.

    Attributes:
        done: name, seconds and what was done, of each stage that has run or was skipped.
        spark: the session of the stages that take one.
    """

    settings: Settings
    console: Console
    force: bool = False
    read_only: bool = False
    done: list[tuple[str, float, str]] = field(default_factory=list)
    spark: SparkLease = field(init=False)

    def __post_init__(self) -> None:
        self.spark = SparkLease(self.settings.spark, lambda: is_small(self.settings))

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
        return plan_query_anchors(self.settings, query, self.manifest.time_ranges, self.manifest.rows)


class Stage(ABC):
    """One step from tables to predictions.

    Attributes:
        name: what the command line calls it.
        help: what it turns into what, for the command line.
        on_spark: whether Spark does the work; it closes before the first stage that it does not do.
        on_gpu: whether a network runs, which GPUs are faster at.
        per_query: whether every query has its own result.
        after: the stage whose result it takes.
        tracked: whether the MLflow run of the training is told of it.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    on_spark: ClassVar[bool] = False
    on_gpu: ClassVar[bool] = False
    per_query: ClassVar[bool] = True
    after: ClassVar[type[Stage] | None] = None
    tracked: ClassVar[bool] = False

    def __init__(self, work: PipelineContext) -> None:
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
            self.track(record)
        self.work.done.append((self.name, record.seconds, record.detail))
        return record

    def track(self, record: StageRecord) -> None:
        """Tell the MLflow run of the training what was done, where this stage comes after that."""
        run = tracking.last_run(self.settings, self.work.lake) if self.tracked else None
        if run is not None:
            run.log_stage(self.name, record)

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
        # Where the lake is makes no difference to what it holds.
        return fingerprint(to_portable(self.work.lake, {"version": gnnscale.__version__, **self.inputs()}))

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

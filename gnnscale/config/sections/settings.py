"""The configuration: frozen settings, validated when they are built."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from numbers import Real
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from gnnscale.config.network_choice import check_network
from gnnscale.config.sections.relations import RelationSettings, declared_relations
from gnnscale.config.sections.retrieval import RetrievalSettings
from gnnscale.config.sections.sampling import SamplingSettings
from gnnscale.config.sections.section import Positive, Section, Share, TableName
from gnnscale.config.sections.tables import TableSettings
from gnnscale.config.sections.text import TextSettings
from gnnscale.config.sections.training import EmbeddingSettings, ModelSettings, SearchSettings, TrainingSettings
from gnnscale.config.sections.warehouse import WarehouseSettings
from gnnscale.lake import WAREHOUSE
from gnnscale.query import epoch_seconds
from gnnscale.schema import (
    BASELINES,
    KEY_VALUE_STORES,
    ConfigError,
)

MOST_DAYS: Final = 36_500
"""Days after a row's own time that its answer can be known."""


class LakeSettings(Section):
    """Where tables are written; ``cache`` holds the memory-mapped graph, by default inside a local lake."""

    uri: str
    storage_options: dict[str, str] = Field(default_factory=dict)
    cache: str | None = None


class SparkSettings(Section):
    """The Spark session; ``auto`` follows the machine, and settings of ``spark-submit`` take precedence."""

    master: str = "local[*]"
    driver_memory: str = "auto"
    shuffle_partitions: Literal["auto"] | Positive = "auto"
    conf: dict[str, str] = Field(default_factory=dict)


class ChecksSettings(Section):
    """Data-quality thresholds of the graph build, as shares of rows; by default all rows pass but for early ones.

    Args:
        min_match_rate: least share of a link's rows with a key whose key matches a parent; default:
            ``graph.min_match_rate``.
        min_parent_match_rate: least share of a link's parents that at least one row names.
        max_null_rate: most rows of a link without a key.
        max_duplicate_rate: most rows of a table without a primary key that repeat another in every column.
        max_isolated_rate: most rows of a table with a primary key that no link joins with another row.
        max_out_of_range_rate: most rows of a table whose time is outside ``graph.time_range``.
        max_early_rate: most rows of a link that match a parent which is younger than they are; by default half.
    """

    min_match_rate: Share | None = None
    min_parent_match_rate: Share = 0.0
    max_null_rate: Share = 1.0
    max_duplicate_rate: Share = 1.0
    max_isolated_rate: Share = 1.0
    max_out_of_range_rate: Share = 1.0
    max_early_rate: Share = 0.5


class GraphSettings(Section):
    """Graph build.

    Args:
        min_match_rate: least share of keyed rows that must match a parent.
        checks: data-quality thresholds.
        time_range: first and last time that a row should have; rows outside are counted, not left out.
        max_categories: categories kept in each column.
        fit_until: statistics of the columns count rows up to this time; default: when four fifths of all rows with
            times have come. Set it to the validation anchor of the query that matters most.
        text: how text columns become vectors.
    """

    min_match_rate: Share = 0.5
    checks: ChecksSettings = ChecksSettings()
    time_range: tuple[datetime, datetime] | None = None
    max_categories: Positive = 10_000
    fit_until: datetime | None = None
    text: TextSettings = TextSettings()

    @field_validator("time_range")
    @classmethod
    def _in_order(cls, value: tuple[datetime, datetime] | None) -> tuple[datetime, datetime] | None:
        if value and epoch_seconds(value[0]) > epoch_seconds(value[1]):
            raise ConfigError(f"it ends at {value[1]}, before it begins at {value[0]}")
        return value


def query_name(text: str) -> str:
    """A name for the tables of a query: its first words, and a digest of the whole without its spacing."""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower().strip().removeprefix("predict")).strip("_")
    digest = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:6]
    return f"q_{words[:32].rstrip('_')}_{digest}"


class QuerySettings(Section):
    """A predictive query and the name that its tables carry; the text alone gets a name that is made of it.

    Args:
        name: of its tables.
        text: the query.
        examples: labelled examples that replace those of the query: a table, given as in ``tables.*.source``, with the
            entity's key, ``anchor_time``, ``target`` (``targets`` for rankings) and perhaps ``split``.
        split: of a ranking without a window: column of the event table, of type ``ignore``, which says ``train``,
            ``validation`` or ``test`` of each event; default: parts at random.
        new_only: of a ranking with a window: whether what an entity has had by the anchor is no target of its examples.
            It is then left out of all lists too, the model's and the baselines'.
        known_after: of a target of rows at their own times: when a row's answer is known, as the name of a column of
            its table that holds times, which is then no input, or as days after its own time. Answers that are known by
            then are inputs of later rows that name the same rows, to boosted trees and the baselines of earlier
            answers, and what is not known before validation, or the test, begins is not learned from; default: none
            ever is an input.
    """

    name: TableName
    text: str
    examples: str | None = None
    split: str | None = None
    new_only: bool = False
    known_after: float | str | None = None

    @field_validator("known_after", mode="before")
    @classmethod
    def _column_or_days(cls, known: Any) -> Any:
        days = isinstance(known, Real) and not isinstance(known, bool) and 0 <= float(known) <= MOST_DAYS
        if known is None or days or (isinstance(known, str) and known):
            return known
        raise ValueError(f"give the name of a column of times, or days from 0 to {MOST_DAYS:,}")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"name": query_name(value), "text": value} if isinstance(value, str) else value


class AnchorSettings(Section):
    """Anchor times; what is left out follows from the data and the query's windows.

    Args:
        test: anchor of the last test window, or a list of all; default: the last midnight whose window ends inside the
            data.
        test_count: test anchors, a step apart; figures pool their examples, and intervals draw entities.
        validation: anchor of the last validation window, or a list of all; default: whole steps before the first test
            anchor, its window ended by then.
        validation_count: validation anchors, a step apart; ``auto`` takes more than one where one has few examples.
        step_days: days between anchors; default: the end of the window.
        train: most training anchors, counted back from the first validation window; ``auto`` takes as many as give
            ``train_examples``, and no fewer than 26.
        train_examples: training examples that are enough, where ``train`` is ``auto``.
        start, end: earliest and latest training anchor.
        latest: anchor of the predictions; default: midnight at the end of the last day that has events.
    """

    test: datetime | Annotated[tuple[datetime, ...], Field(min_length=1)] | None = None
    test_count: Positive = 1
    validation: datetime | Annotated[tuple[datetime, ...], Field(min_length=1)] | None = None
    validation_count: Literal["auto"] | Positive = "auto"
    step_days: Positive | None = None
    train: Literal["auto"] | Positive = "auto"
    train_examples: Positive = 20_000
    start: datetime | None = None
    end: datetime | None = None
    latest: datetime | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for first, last in (("start", "end"), ("start", "validation"), ("validation", "test")):
            begin, finish = _extreme(getattr(self, first), max), _extreme(getattr(self, last), min)
            if begin and finish and epoch_seconds(begin) >= epoch_seconds(finish):
                raise ValueError(f"{first} is {begin}, and {last} is {finish}: {first} must be before {last}")
        for name, count in (("validation", self.validation_count), ("test", self.test_count)):
            given = getattr(self, name)
            if isinstance(given, tuple) and count not in ("auto", 1, len(given)):
                raise ValueError(f"{name} lists {len(given)} times, and {name}_count is {count}: give one of them")
        return self


def _extreme(times: datetime | tuple[datetime, ...] | None, which: Any) -> datetime | None:
    """The first or last of some times, as ``which`` (``min`` or ``max``) says; None of none."""
    return which(times, key=epoch_seconds) if isinstance(times, tuple) else times


class ShardSettings(Section):
    """Subgraph shards: pre-sampled subgraphs; fan-outs, strategy and cap are those of ``sampling``.

    Args:
        file_mb: size of a file's arrays before compression, in MiB.
        tile_edges: edges that a task holds while it samples, where one node has no more.
        epoch: part of the sampling key; shards of another epoch hold another sample.
        features: whether the encoded columns of every sampled node are copied in.
    """

    file_mb: Positive = 128
    tile_edges: Positive = 4_194_304
    epoch: Annotated[int, Field(ge=0)] = 0
    features: bool = False


class EvaluationSettings(Section):
    """Offline evaluation: bootstrap resamples, what baselines go by, and entities that the report shows.

    Args:
        resamples: of the bootstrap.
        half_life_days: age at which an event counts half, for baselines.
        popularity_days: what is popular counts the events of these.
        similar_items: nearest items that ItemKNN goes by.
        ease_l2: ridge of EASE.
        metrics: of rankings, further ones beside those of the task, such as ``recall@5``.
        headline: of rankings: the metric that comes first and that epochs and blends are chosen by, such as
            ``recall@100``; default: that of the task.
        baselines: of rankings: names of those that stand beside the model; default: those of the task.
        examples: entities that the report shows.
    """

    resamples: Positive = 1000
    half_life_days: Positive = 90
    popularity_days: Positive = 30
    similar_items: Positive = 200
    ease_l2: Annotated[float, Field(gt=0)] = 200.0
    metrics: tuple[str, ...] = ()
    headline: str | None = None
    baselines: tuple[str, ...] = ()
    examples: Annotated[int, Field(ge=0)] = 5

    @field_validator("baselines")
    @classmethod
    def _known_baselines(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            BASELINES.find(name)
        return value


class PublishSettings(Section):
    """The key-value store that readers look answers up in.

    Args:
        store: ``redis://host:port/database``, ``unix://socket``, or the path of an SQLite file; default:
            ``_serving/store.sqlite`` in a local lake.
        batch_rows: rows that are written in one transaction, where the store takes as many.
        keep_days: days after which files that no version of the refreshed vectors needs any more are removed.
    """

    store: str | None = None
    batch_rows: Positive = 1000
    keep_days: Positive = 7

    @field_validator("store")
    @classmethod
    def _registered(cls, value: str | None) -> str | None:
        if value is not None and "://" in value:
            KEY_VALUE_STORES.find(value.partition("://")[0])
        return value


class TrackingSettings(Section):
    """MLflow: default is an SQLite store inside a local lake.

    Args:
        uri: of any tracking store.
        experiment: that runs are in.
        artifacts: folder or URI that gets the files of runs, of an experiment that is made anew; default: beside the
            store in a local lake, else as the store has it.
        register_as: name that models are registered by; None: they are not.
        system_seconds: between two looks at processors, memory, disk, network and GPUs of the machine that drives a
            training; 0: none.
    """

    uri: str | None = None
    experiment: str = "gnnscale"
    artifacts: str | None = None
    register_as: str | None = None
    system_seconds: Annotated[float, Field(ge=0)] = 10


class Settings(Section):
    """The whole configuration of a recipe.

    Args:
        recipe: its name; the lake's default folder is called so.
        seed: of every random choice.
        tables: their names, and what is said of each.
        relations: edges that follow from tables, by their names.
        warehouse: database of the tables whose source is ``warehouse://<table>``.
    """

    recipe: str
    seed: int = 0
    lake: LakeSettings
    warehouse: WarehouseSettings | None = None
    tables: dict[str, TableSettings]
    query: QuerySettings
    sampling: SamplingSettings = SamplingSettings()
    shards: ShardSettings = ShardSettings()
    spark: SparkSettings = SparkSettings()
    graph: GraphSettings = GraphSettings()
    relations: dict[str, RelationSettings] = Field(default_factory=dict)
    anchors: AnchorSettings = AnchorSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    search: SearchSettings = SearchSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    publish: PublishSettings = PublishSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _fits_the_network(self) -> Self:
        check_network(self)
        return self

    @model_validator(mode="after")
    def _has_the_warehouse(self) -> Self:
        for name, table in self.tables.items():
            if table.source.startswith(WAREHOUSE) and self.warehouse is None:
                raise ConfigError(
                    f"tables.{name}.source={table.source} needs section warehouse, which says where it is"
                )
        return self

    @field_validator("relations")
    @classmethod
    def _consistent(cls, value: dict[str, RelationSettings]) -> dict[str, RelationSettings]:
        declared_relations(value)
        return value
